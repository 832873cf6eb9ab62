# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stock wrappers of albumentations, with arguments of its version 1."""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmdet.datasets importable
import copy

import albumentations as A
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Albu
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmpose.datasets.transforms import Albumentation
from mmpretrain.datasets.transforms import Albumentations

from hpml_mm.compat.albumentation_arguments import translate_arguments
from hpml_mm.compat.mends.albumentations import mend

WRAPPERS = (Albumentation, Albu, Albumentations)


@pytest.mark.parametrize(
    ('name', 'old', 'new'),
    [
        # RTMPose and 67 more configs
        (
            'CoarseDropout',
            dict(max_holes=1, max_height=0.4, max_width=0.4)
            | dict(min_holes=1, min_height=0.2, min_width=0.2, p=0.5),
            dict(num_holes_range=(1, 1), p=0.5)
            | dict(hole_height_range=(0.2, 0.4), hole_width_range=(0.2, 0.4)),
        ),
        (
            'CoarseDropout',
            dict(max_holes=3, fill_value=7, mask_fill_value=9),
            dict(num_holes_range=(3, 3), fill=7, fill_mask=9)
            | dict(hole_height_range=(8, 8), hole_width_range=(8, 8)),
        ),
        ('CoarseDropout', dict(p=1.0), dict(p=1.0)),
        # HRNet with a grid mask
        (
            'GridDropout',
            dict(unit_size_min=10, unit_size_max=40, random_offset=True, p=0.5),
            dict(unit_size_range=(10, 40), random_offset=True, p=0.5),
        ),
        ('GridDropout', dict(holes_number_x=2, holes_number_y=5, shift_y=3),
         dict(holes_number_xy=(2, 5), shift_xy=(0, 3))),
        # One part of a pair that has no default is left, to be refused by its name.
        ('GridDropout', dict(unit_size_min=10), dict(unit_size_min=10)),
        ('RandomResizedCrop', dict(height=8, width=6), dict(size=(8, 6))),
        ('CenterCrop', dict(height=8, width=6), dict(height=8, width=6)),
        ('ImageCompression', dict(quality_lower=20), dict(quality_range=(20, 100))),
        ('Downscale', dict(scale_max=0.5), dict(scale_range=(0.25, 0.5))),
        ('RandomFog', dict(fog_coef_upper=0.5), dict(fog_coef_range=(0.3, 0.5))),
        ('RandomRain', dict(slant_lower=-5), dict(slant_range=(-5, 10))),
        ('Rotate', dict(limit=5, value=3, border_mode=0),
         dict(limit=5, fill=3, border_mode=0)),
        ('Affine', dict(cval=1, cval_mask=2, mode=4),
         dict(fill=1, fill_mask=2, border_mode=4)),
        # A name that both versions have keeps its meaning.
        ('GlassBlur', dict(mode='exact'), dict(mode='exact')),
        ('Blur', dict(always_apply=True, p=0.1), dict(p=1.0)),
        ('Blur', dict(always_apply=False, p=0.1), dict(p=0.1)),
        # Of the variance, not of the deviation: not the same distribution.
        ('GaussNoise', dict(var_limit=(10, 50)), dict(var_limit=(10, 50))),
        ('Blur', dict(fill_value=1), dict(fill_value=1)),
    ],
)  # fmt: skip
def test_arguments_of_version_1(name, old, new):
    kind = getattr(A, name)
    assert translate_arguments(kind, old) == new
    # What is right already stays.
    assert translate_arguments(kind, new) == new


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_stock_wrappers_translate(wrapper):
    drop = dict(type='CoarseDropout', max_holes=2, min_height=3, always_apply=True)
    built = wrapper([dict(type='OneOf', transforms=[drop], p=0.25)])
    (one_of,) = built.aug.transforms
    (dropout,) = one_of.transforms
    assert one_of.p == 0.25
    assert dropout.num_holes_range == (2, 2)
    assert dropout.hole_height_range == (3, 8)
    assert dropout.hole_width_range == (8, 8)
    assert dropout.p == 1
    # ``repr`` and a dumped config show what was asked for.
    assert 'max_holes' in repr(built)


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_a_transform_of_another_name(wrapper):
    config = dict(type='JpegCompression', quality_lower=85, quality_upper=95, p=0.2)
    (compression,) = wrapper([config]).aug.transforms
    assert type(compression) is A.ImageCompression
    assert compression.compression_type == 'jpeg'
    assert compression.quality_range == (85, 95)


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize(
    ('config', 'problem'),
    [
        (
            dict(type='GaussNoise', var_limit=(10, 50)),
            r"GaussNoise of .* no argument 'var_limit' \(value \(10, 50\)\)",
        ),
        (dict(type='Blur', blur=3), r"'blur' .* did you mean blur_limit\?"),
        (dict(type='ImageCompressor'), "has no 'ImageCompressor'.*ImageCompression"),
    ],
)
def test_stock_wrappers_refuse_by_name(wrapper, config, problem):
    with pytest.raises(ValueError, match=f'{wrapper.__name__}: .*{problem}'):
        wrapper([dict(type='Sequential', transforms=[config])])


def test_without_the_mend(monkeypatch):
    """The faults: a module that is gone, and another augmentation without an error."""
    for wrapper in WRAPPERS:
        original = wrapper.albu_builder.__wrapped__
        monkeypatch.setattr(wrapper, 'albu_builder', original)
    drop = dict(type='CoarseDropout', max_holes=1, max_height=0.4, max_width=0.4)
    with pytest.raises(AttributeError, match="attribute 'transforms'"):
        Albumentation([drop])
    with pytest.warns(UserWarning, match='max_holes'):
        (dropout,) = Albu([drop]).aug.transforms
    assert dropout.num_holes_range == (1, 2)


def test_a_class_is_mended_once():
    import mmdet.datasets.transforms.transforms as module

    before = Albu.albu_builder, Albu.transform
    mend(module)
    assert (Albu.albu_builder, Albu.transform) == before


def noisy(wrapper, **arguments) -> np.ndarray:
    """Image that a wrapper's noise changed."""
    built = wrapper([dict(type='GaussNoise', p=1)], **arguments)
    return built.transform(dict(img=np.full((4, 5, 3), 128, np.uint8)))['img']


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_noise_follows_numpys_seed(wrapper):
    def draw(seed: int) -> np.ndarray:
        np.random.seed(seed)
        return noisy(wrapper)

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_forked_workers_draw_differently():
    parent = Albumentation([dict(type='GaussNoise', p=1)])
    workers = [copy.deepcopy(parent) for _ in range(2)]

    def draw(transform) -> list[np.ndarray]:
        images = []
        for seed, worker in enumerate(workers):
            np.random.seed(seed)  # as MMEngine's worker_init_fn does
            image = np.full((4, 5, 3), 128, np.uint8)
            images.append(transform(worker, dict(img=image))['img'])
        return images

    assert np.array_equal(*draw(Albumentation.transform.__wrapped__))
    assert not np.array_equal(*draw(Albumentation.transform))


def test_a_seed_of_the_config_is_kept():
    np.random.seed(0)
    first = noisy(Albumentations, seed=3)
    assert np.array_equal(first, noisy(Albumentations, seed=3))


def test_a_transform_that_moves_points_is_warned_of(recwarn):
    Albumentation([dict(type='CoarseDropout', max_holes=1), dict(type='Blur')])
    assert not [w for w in recwarn if 'moves' in str(w.message)]
    with pytest.warns(UserWarning, match='HorizontalFlip moves the image away'):
        Albumentation([dict(type='HorizontalFlip')])


def test_boxes_and_masks_of_mmdet_move_along(recwarn):
    albu = Albu(
        [dict(type='HorizontalFlip', p=1), dict(type='PadIfNeeded', min_height=8)
         | dict(min_width=10, value=0, position='top_left')],
        bbox_params=dict(
            type='BboxParams', format='pascal_voc', filter_lost_elements=True,
            label_fields=['gt_bboxes_labels', 'gt_ignore_flags'],
        ),
        skip_img_without_anno=True,
    )  # fmt: skip
    assert not [w for w in recwarn if 'moves the image away' in str(w.message)]
    masks = np.zeros((1, 8, 10), np.uint8)
    masks[0, 2:6, 1:4] = 1
    results = albu(
        dict(
            img=np.zeros((8, 10, 3), np.uint8),
            gt_bboxes=HorizontalBoxes(torch.tensor([[1.0, 2, 4, 6]])),
            gt_bboxes_labels=np.array([5]),
            gt_ignore_flags=np.array([False]),
            gt_masks=BitmapMasks(masks, 8, 10),
        )
    )
    assert results['gt_bboxes'].tensor.tolist() == [[6, 2, 9, 6]]
    assert results['gt_bboxes_labels'].tolist() == [5]
    assert np.array_equal(results['gt_masks'].masks, masks[:, :, ::-1])
