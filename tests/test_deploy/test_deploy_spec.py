# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
import re

import pytest
from deploy_models import (
    CATS,
    FACES,
    FACES_ARRAY,
    LARGE_FACES,
    build_classifier,
    build_leaf,
    leaf,
)

from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.spec import DeploySpec


@pytest.fixture(scope='module')
def faces():
    return spec_of(leaf(FACES), build_leaf(FACES))


@pytest.fixture(scope='module')
def cats():
    return spec_of(leaf(CATS), build_leaf(CATS))


def test_a_classifier_of_grey_faces(faces):
    assert (faces.task, faces.names) == ('classify', FER_CLASSES)
    assert (faces.input_size, faces.channels, faces.color) == ((44, 44), 1, 'grey')
    assert (faces.mean, faces.std) == ((129.3,), (65.0,))
    # Faces of another size become 48x48, as all of the data are.
    assert [step['type'] for step in faces.pipeline] == [
        'hpml_mm.LoadFace',
        'Resize',
        'CenterCrop',
        'PackInputs',
    ]
    assert faces.pipeline[1]['scale'] == [48, 48]
    assert faces.pose is None


def test_large_faces_are_rgb_and_an_array_of_faces_has_steps_for_one_face(faces):
    spec = spec_of(leaf(LARGE_FACES), build_leaf(LARGE_FACES))
    assert (spec.input_size, spec.channels, spec.color) == ((224, 224), 3, 'rgb')
    assert spec.mean == spec.std == (127.5,) * 3
    spec = spec_of(leaf(FACES_ARRAY), build_leaf(FACES_ARRAY))
    assert (spec.input_size, spec.color, spec.mean) == ((44, 44), 'grey', faces.mean)
    kinds = [step['type'] for step in spec.pipeline]
    assert kinds == [step['type'] for step in faces.pipeline]


def test_a_pose_model(cats):
    assert cats.task == 'pose'
    assert (len(cats.names), cats.names[0]) == (17, 'L_Eye')
    assert (cats.input_size, cats.channels, cats.color) == ((96, 96), 3, 'rgb')
    assert cats.pose.output == 'heatmap'
    assert cats.pose.codec['type'] == 'MSRAHeatmap'
    assert cats.pose.codec['heatmap_size'] == [24, 24]
    assert cats.pose.test_cfg['flip_test'] is True
    assert cats.pose.padding == 1.25
    assert cats.pose.flip_indices[:3] == (1, 0, 2)
    assert cats.pose.skeleton[0] == (0, 1)
    assert len(cats.pose.skeleton_colors) == len(cats.pose.skeleton)


def test_a_stock_recipe_in_bgr_with_names_of_a_checkpoint():
    cfg = leaf(FACES)
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=80),
        dict(type='CenterCrop', crop_size=(64, 32)),
        dict(type='PackInputs'),
    ]
    cfg.test_dataloader = dict(dataset=dict(type='ImageNet', pipeline=steps))
    model = build_classifier(dict(type='ResNet', depth=18), 512)
    spec = spec_of(cfg, model, {'classes': ('a', 'b', 'c')})
    assert (spec.input_size, spec.color) == ((64, 32), 'bgr')
    assert (spec.mean, spec.std) == ((0.0,) * 3, (1.0,) * 3)
    assert spec.names == ('a', 'b', 'c')


@pytest.mark.parametrize('name', ['faces', 'cats'])
def test_json_brings_all_of_it_back(name, request):
    spec = request.getfixturevalue(name)
    assert DeploySpec.from_json(spec.to_json(), 'a.onnx') == spec


def changed(spec: DeploySpec, key: str, value) -> str:
    """The JSON with another value at a dotted key; None takes the key away."""
    content = json.loads(spec.to_json())
    *parents, last = key.split('.')
    place = content
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('version', 9, 'version of the description is 9'),
        ('mean', None, 'lacks mean'),
        ('pose.codec', None, 'lacks pose.codec'),
        ('crop', 1, 'unknown key crop'),
        ('task', 'detect', "task = 'detect', not classify or pose"),
        ('names', [], 'names = ()'),
        ('names', 'abc', "names = 'abc', not a list"),
        ('input_size', [96], 'input_size'),
        ('input_size', [96, 0], 'input_size'),
        ('channels', 2, 'channels = 2, not 1 or 3'),
        ('mean', [1, 2], 'mean = (1, 2), not 3 numbers'),
        ('mean', [1, 2, 'x'], 'mean'),
        ('std', [1, 0, 1], 'std = (1, 0, 1), not 3 numbers above 0'),
        ('color', 'red', "color = 'red'"),
        ('pipeline', [{'type': 'os.system'}], "pipeline[0] = 'os.system'"),
        ('pipeline', [3], 'pipeline[0] = 3'),
        ('pose.output', 'boxes', 'pose.output'),
        ('pose.codec', {'type': 'os.system'}, 'pose.codec'),
        ('pose.flip_indices', [0] * 17, 'pose.flip_indices'),
        ('pose.skeleton', [[0, 17]], 'pose.skeleton'),
        ('pose.keypoint_colors', [[0, 0, 0]], 'pose.keypoint_colors'),
        ('pose.padding', 0, 'pose.padding'),
    ],
)
def test_what_is_wrong_is_named_with_its_file(cats, key, value, message):
    with pytest.raises(ValueError, match=f'^a.onnx: .*{re.escape(message)}'):
        DeploySpec.from_json(changed(cats, key, value), 'a.onnx')


def test_a_pose_needs_its_part_and_a_text_must_be_a_description(faces, cats):
    wrong = changed(cats, 'pose', None), changed(faces, 'task', 'pose')
    for text in (*wrong, '', '[1]', '{'):
        with pytest.raises(ValueError, match='^a.onnx: '):
            DeploySpec.from_json(text, 'a.onnx')


def test_a_step_that_a_file_cannot_say_is_named():
    cfg = leaf(FACES)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='RandomFlip', prob=0.5))
    with pytest.raises(ValueError, match=r"pipeline\[2\] = 'RandomFlip'"):
        spec_of(cfg, build_leaf(FACES))


def test_models_that_a_file_cannot_say_are_refused():
    faces = build_leaf(FACES)
    faces.data_preprocessor.pad_size_divisor = 32
    with pytest.raises(ValueError, match='pad_size_divisor'):
        spec_of(leaf(FACES), faces)
    cfg = leaf(LARGE_FACES)
    cfg.test_dataloader.dataset.pipeline[1] = dict(type='NumpyToPIL', to_rgb=True)
    with pytest.raises(ValueError, match='changes BGR to RGB'):
        spec_of(cfg, build_leaf(LARGE_FACES))
    cfg.test_dataloader = cfg.val_dataloader = None
    with pytest.raises(ValueError, match='neither test_dataloader'):
        spec_of(cfg, build_leaf(FACES), {'classes': ('a',)})
    cats = build_leaf(CATS)

    class Own(type(cats.head)):
        def predict(self, feats, samples, test_cfg=None):
            return super().predict(feats, samples, test_cfg)

    cats.head.__class__ = Own
    with pytest.raises(ValueError, match='outputs of Own'):
        spec_of(leaf(CATS), cats)
