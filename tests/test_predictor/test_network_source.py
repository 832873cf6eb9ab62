# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a text stands for: an arch of which space, and a size."""

import numpy as np
import pytest
import torch

from hpml_mm.compat import has_mmpose
from hpml_mm.predictor.data.network_source import (
    DEFAULT_SPACE,
    load_module,
    load_source,
    parse_size,
    split_arch,
)
from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import SPACES, get_space
from hpml_mm.predictor.stock.config_model import (
    config_model,
    find_config,
    input_shape,
)

CELL = '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'


@pytest.mark.parametrize('name', SPACES)
def test_an_arch_with_its_space_is_of_that_space(name):
    space = get_space(name)
    arch = space.encode(space.sample(np.random.default_rng(3)))
    assert split_arch(f'{name}:{arch}') == (name, arch)
    assert split_arch(arch, name) == (name, arch)
    assert split_arch(f'{name}:{arch}', name) == (name, arch)


def test_a_bare_arch_is_of_the_space_that_it_fits():
    assert split_arch('11111111') == ('nas-bench-macro', '11111111')
    assert split_arch(CELL) == ('nas-bench-201', CELL)
    # Both widths of MobileNetV3 would do: the published table's is meant.
    block = '3-3;3-3;0-0;0-0'
    assert split_arch(';'.join([block] * 5))[0] == DEFAULT_SPACE
    for text in ('resnet18_8xb32_in1k', 'mmpose::a/b.py', 'C:/net.py', ''):
        assert split_arch(text) is None


def test_what_is_wrong_with_a_misspelt_arch_is_said():
    right = ';'.join(['3-3;3-3;0-0;0-0'] * 5)
    wrong = f'9-3{right[3:]}'
    with pytest.raises(ValueError, match=f'^{DEFAULT_SPACE}: .*9'):
        load_source(wrong)
    message = "no search space 'ofa-mvb3-w1.0'; did you mean 'ofa-mbv3-w1.0'"
    for arch in (right, wrong, ''):
        with pytest.raises(ValueError, match=message):
            load_source(f'ofa-mvb3-w1.0:{arch}')
    with pytest.raises(ValueError, match="no search space 'x'"):
        load_source(f'x:{right}')


def test_a_task_chooses_the_decoder_of_an_arch_that_has_one():
    arch = 'transnas-micro:64-41414-1_23_013'
    scene, normal = load_source(arch), load_source(arch, task='normal')
    assert normal.name == scene.name == arch
    assert 'tanh' in normal.graph.labels
    assert 'tanh' not in scene.graph.labels
    with pytest.raises(ValueError, match='task normal is for archs of TransNAS-Bench'):
        load_source('resnet18_8xb32_in1k', task='normal')


@pytest.mark.parametrize('config', ['ofa-mvb3-w1.0::a/b.py', '9-3;5-6.py'])
def test_a_config_is_not_taken_for_a_misspelt_arch(config):
    assert split_arch(config) is None
    with pytest.raises((FileNotFoundError, ValueError), match='config'):
        load_source(config)


@pytest.mark.parametrize(
    'source',
    [
        'resnet18_8xb32_in1k',
        pytest.param(
            'simcc_vipnas-mbv3_8xb64-210e_coco-256x192',
            marks=pytest.mark.skipif(not has_mmpose(), reason='MMPose is missing'),
        ),
    ],
)
def test_a_config_is_counted_without_drawing_its_weights(source):
    cfg = find_config(source)
    model = config_model(cfg, source)
    drawn = trace(model, input_shape(cfg, model, source, None))
    before = torch.get_rng_state()
    graph = load_source(source).graph
    assert torch.equal(torch.get_rng_state(), before)
    assert same(graph, drawn, names=True)


def test_sizes_are_a_side_or_height_and_width():
    assert parse_size('224') == (224, 224)
    assert parse_size('256x192') == (256, 192)
    for text in ('', 'x', '0', '2x', '-3', '1x2x3', '2.5', '²'):
        with pytest.raises(
            ValueError, match='is no size: write a side, or HEIGHTxWIDTH'
        ):
            parse_size(text)


def test_overrides_are_for_configs():
    options = {'model.backbone.depth': 50}
    params = load_source('resnet18_8xb32_in1k').graph.total_params
    more = {**options, 'model.head.in_channels': 2048}
    assert load_source('resnet18_8xb32_in1k', options=more).graph.total_params > params
    arch = ';'.join(['3-3;3-3;0-0;0-0'] * 5)
    with pytest.raises(ValueError, match='--cfg-options change a config'):
        load_source(arch, options=options)


def test_a_module_is_that_of_the_graph():
    for source in ('nas-bench-macro:22212200', 'resnet18_8xb32_in1k'):
        module, shape = load_module(source, size=(40, 40))
        assert shape == (3, 40, 40)
        graph = load_source(source, size=(40, 40)).graph
        assert same(trace(module, shape), graph)
    assert load_module('nas-bench-macro:22212200')[1] == (3, 32, 32)


@pytest.mark.parametrize(
    ('source', 'size', 'message'),
    [
        ('a.onnx', None, 'a.onnx has no module: give an arch or a config'),
        ('11111111', (4, 8), '4x8: networks of nas-bench-macro take square images'),
        ('9-3;5-6', None, 'ofa-mbv3-w1.0: '),
    ],
)
def test_a_module_that_cannot_be_built_is_refused(source, size, message):
    with pytest.raises(ValueError, match=message):
        load_module(source, size=size)


@pytest.mark.skipif(not has_mmpose(), reason='MMDetection is not installed')
def test_a_detector_is_no_module_of_images_alone():
    with pytest.raises(ValueError, match='is a detector of MMDetection'):
        load_module('yolox_tiny_8xb8-300e_coco')
