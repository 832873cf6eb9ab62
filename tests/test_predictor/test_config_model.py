# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs are found by path and by name, and tell the size of their images."""

import pytest
from mmengine.config import Config
from torch import nn

from hpml_mm.predictor.stock.config_model import find_config, input_shape


@pytest.mark.parametrize(
    ('source', 'backbone'),
    [
        ('resnet18_8xb32_in1k', 'ResNet'),  # a config's name
        ('inception-v3_3rdparty_8xb32_in1k', 'InceptionV3'),  # weights' name
        ('mmpretrain::lenet/lenet5_mnist.py', 'LeNet5'),
    ],
)
def test_a_stock_config_is_found_by_any_of_its_names(source, backbone):
    assert find_config(source).model.backbone.type == backbone


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('inception-v3_3rdparty_8xb32', 'did you mean inception-v3_3rdparty'),
        ('lenet5-mnst', 'did you mean lenet5_mnist'),
        ('#', 'mmpretrain, mmpose or mmdet$'),
        # Names that start with or hold the text.
        ('ResNet18', r'mean resnet18_8xb16_cifar10 or resnet18_8xb32_in1k\?$'),
        ('swin-', r'did you mean swin-(\S+ or swin-){4}\S+$'),
    ],
)
def test_what_is_like_a_name_is_offered(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        find_config(name)


def test_a_name_of_several_configs_is_not_guessed():
    with pytest.raises(ValueError, match='is the name of 2 configs: write') as error:
        find_config('levit-128s_8xb256_in1k')
    places = str(error.value).partition('write one of ')[2].split(', ')
    assert places == [
        'mmpretrain::levit/deploy/levit-128s_8xb256_in1k.py',
        'mmpretrain::levit/levit-128s_8xb256_in1k.py',
    ]
    assert [find_config(place).model.backbone.get('deploy') for place in places] == [
        True,
        None,
    ]


def crop(size, kind='CenterCrop', key='crop_size'):
    return {'type': kind, key: size}


def loader(*steps, **more):
    return {'dataset': {'pipeline': list(steps), **more}}


TRAIN, VAL, TEST = (f'{name}_dataloader' for name in ('train', 'val', 'test'))
VIEWS = {'type': 'MultiView', 'transforms': [[crop(2)]]}


@pytest.mark.parametrize(
    ('config', 'size'),
    [
        ({'codec': {'input_size': (192, 256)}}, (256, 192)),
        # A config that inherits both may change the pipeline alone.
        (
            {
                'codec': {'input_size': (9, 9)},
                TEST: loader(crop((5, 6), 'A', 'input_size')),
            },
            (6, 5),
        ),
        ({'codec': {'input_size': (5, 6)}, TRAIN: loader(crop(3))}, (6, 5)),
        ({TEST: loader(crop(9, 'Resize', 'scale'), crop(7))}, (7, 7)),
        ({TEST: loader(crop((6, 5)))}, (6, 5)),
        ({TEST: loader(crop((6, 5), 'mmpose.Resize', 'scale'))}, (5, 6)),
        ({VAL: loader(crop(4)), TEST: loader()}, (4, 4)),
        ({TRAIN: loader(crop(3, 'RandomCrop'))}, (3, 3)),
        ({'model': {'backbone': {'img_size': 5}}}, (5, 5)),
        ({TEST: loader(crop(7), crop(0.5, 'Resize', 'scale'))}, (7, 7)),
        ({TEST: loader(crop(7), crop(9, 'Pad', 'scale'))}, (7, 7)),
        ({TEST: {'dataset': loader(crop(8))}}, (8, 8)),
        ({TRAIN: loader(VIEWS)}, (2, 2)),
    ],
)
def test_the_size_is_that_of_the_last_step_that_tells_it(config, size):
    cfg = Config({'model': {}, **config})
    assert input_shape(cfg, nn.Conv2d(1, 2, 3), 'x', None) == (1, *size)
    assert input_shape(cfg, nn.Conv2d(1, 2, 3), 'x', (40, 30)) == (1, 40, 30)


def test_images_are_padded_as_by_the_preprocessor_unless_a_size_is_given():
    preprocessor = {'data_preprocessor': {'pad_size_divisor': 32}}
    cfg = Config(
        {'model': preprocessor, TEST: loader(crop((1333, 800), 'Resize', 'scale'))}
    )
    assert input_shape(cfg, nn.Conv2d(3, 2, 3), 'x', None) == (3, 800, 1344)
    assert input_shape(cfg, nn.Conv2d(3, 2, 3), 'x', (800, 1333)) == (3, 800, 1333)


def test_a_size_that_is_not_told_is_not_guessed():
    cfg = Config({'model': {}, TEST: loader({'type': 'PackInputs'})})
    with pytest.raises(
        ValueError, match='x does not tell the size .* --input-size HxW'
    ):
        input_shape(cfg, nn.Conv2d(3, 2, 3), 'x', None)


@pytest.mark.parametrize(
    ('stem', 'mean', 'channels'),
    [(1, None, 1), (3, [0.0], 3), (12, [0.0] * 3, 3), (12, None, 12)],
)
def test_stacked_pixels_are_not_taken_for_channels(stem, mean, channels):
    preprocessor = {} if mean is None else {'mean': mean}
    for cfg in (
        Config({'model': {'data_preprocessor': preprocessor}}),
        Config({'model': {}, 'data_preprocessor': preprocessor}),
    ):
        model = nn.Sequential(nn.ReLU(), nn.Conv2d(stem, 8, 3))
        assert input_shape(cfg, model, 'x', (8, 8)) == (channels, 8, 8)


def test_the_stem_of_yolox_stacks_four_pixels():
    class Focus(nn.Conv2d):
        pass

    cfg = Config({'model': {}})
    assert input_shape(cfg, Focus(12, 8, 3), 'x', (8, 8)) == (3, 8, 8)
