# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What albumentations would ignore is refused when a transform is built."""

import inspect
import warnings

import albumentations as A
import pytest
from toy_crops import FLIPS, always, crop

from hpml_mm.datasets.transforms import Albumentation


def refused(*transforms) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller looks
        Albumentation(list(transforms))
    return str(caught.value)


def test_an_old_argument_is_refused():
    message = refused({'type': 'HorizontalFlip'}, *always('CoarseDropout', max_holes=8))
    assert message.startswith('transforms[1]: CoarseDropout of albumentations 2')
    assert "no argument 'max_holes' (value 8)" in message
    assert 'did you mean num_holes_range' in message
    assert 'It takes num_holes_range, hole_height_range, hole_width_range' in message


@pytest.mark.parametrize(
    'composition', ['OneOf', 'Sequential', 'SomeOf', 'RandomOrder']
)
def test_a_nested_one_too(composition):
    message = refused(*always(composition, transforms=always('Blur', blur_limits=3)))
    assert 'transforms[0].transforms[0]: Blur' in message
    assert 'did you mean blur_limit? It takes blur_limit, p' in message


def test_and_an_old_argument_of_a_composition():
    assert "no argument 'always_apply'" in refused(
        *always('OneOf', transforms=always('Blur'), always_apply=True)
    )


def test_both_ways_of_one_or_other():
    one, other = always('HorizontalFlip')[0], always('NoOp')[0]
    assert Albumentation([{'type': 'OneOrOther', 'first': one, 'second': other}])
    other = {'type': 'NoOps'}
    message = refused({'type': 'OneOrOther', 'first': one, 'second': other})
    assert 'transforms[0].second: albumentations' in message


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('HorizontalFlips', 'HorizontalFlip'),
        ('hueSaturationvalue', 'HueSaturationValue'),
        ('Compose', ''),
        ('DualTransform', ''),
        ('RandomCrop3D', 'RandomCrop'),
    ],
)
def test_an_unknown_transform_is_refused(name, hint):
    message = refused({'type': name})
    assert f'has no transform {name!r} for images' in message
    assert hint in message


@pytest.mark.parametrize(
    ('config', 'problem'),
    [
        ({'type': 'Blur', 'blur_limit': 'wide'}, "blur_limit='wide'"),
        ({'type': 'HorizontalFlip', 'p': 1.5}, 'less than or equal to 1'),
        ({'type': 'RandomCrop', 'height': 8}, 'width'),
        ({'type': 'SomeOf', 'n': 3, 'transforms': FLIPS}, 'will be set to 2'),
        ({'type': 'OneOf', 'transforms': always('NoOp') + [{}]}, "a 'type'"),
        (
            {'type': 'OneOf', 'transforms': []},
            'transforms[0].transforms must be a list',
        ),
        ({'p': 0.5}, "a 'type'"),
        ('HorizontalFlip', "a 'type'"),
    ],
)
def test_a_bad_value_is_one_error_with_its_place(config, problem):
    message = refused(config)
    assert message.startswith('transforms[0]')
    assert problem in message


@pytest.mark.parametrize('transforms', [[], None, {'type': 'Blur'}, 'Blur'])
def test_transforms_are_a_list(transforms):
    with pytest.raises(ValueError, match='transforms must be a list'):
        Albumentation(transforms)


def test_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        Albumentation([*always('Blur'), *FLIPS])(crop())


def test_every_transform_refuses_what_it_does_not_take():
    names = [
        name
        for name, kind in vars(A).items()
        if inspect.isclass(kind) and issubclass(kind, A.ImageOnlyTransform | A.D4)
    ]
    assert len(names) > 50
    for name in set(names) - {'ImageOnlyTransform', 'ToTensorV2'}:
        message = refused({'type': name, 'always_apply': True})
        assert "has no argument 'always_apply'" in message, name
