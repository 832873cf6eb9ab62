# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Drawn at random, batched transforms give pictures distributed as by single ones.

Each is applied to one picture many times. Numbers that tell what was done to it are
compared by a two-sample Kolmogorov-Smirnov test; all seeds are fixed.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision import transforms as tv

from hpml_mm.datasets.fer.array.augmentation import Augmentation
from hpml_mm.datasets.transforms import batch
from hpml_mm.registry import TRANSFORMS

COUNT = 1500
# How improbable a difference has to be before a test fails, and how improbable one
# must be that is there.
LEAST, CLEAR = 1e-3, 1e-6

rng = np.random.default_rng(0)
NOISE = rng.integers(20, 181, (48, 48)).astype(np.uint8)
# Levels along a ramp tell an angle, in the corner by what is filled in there too.
RAMP = np.add.outer(np.arange(48) * 3, np.arange(48) * 2).astype(np.uint8)
JITTER = {'brightness': 0.5, 'contrast': 0.5}
BLUR = {'kernel_size': (5, 9), 'sigma': (0.1, 5.0)}


def by_batch(*transforms, face=NOISE):
    augmentation = Augmentation(transforms, face.shape)
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(augmentation.num_draws, COUNT, generator=generator)
    faces = torch.from_numpy(face).expand(COUNT, -1, -1)
    return augmentation(faces, draws)[:, 0].numpy()


def one_by_one(*transforms, face=NOISE):
    """By torchvision's transforms, on a grey image of Pillow."""
    torch.manual_seed(0)
    compose = tv.Compose(transforms)
    image = Image.fromarray(face)
    return np.stack([np.asarray(compose(image)) for _ in range(COUNT)])


def by_mmpretrain(face=NOISE, **config):
    np.random.seed(0)
    transform = TRANSFORMS.build(config)
    return np.stack([transform({'img': face.copy()})['img'] for _ in range(COUNT)])


def corner(pictures):
    """Levels at two places, which tell where a crop or its mirror image lies."""
    return pictures[:, 0, 0], pictures[:, 5, -1]


def look(pictures):
    """Mean and spread."""
    return pictures.mean((1, 2)), pictures.std((1, 2))


def gap(pictures):
    """Height, width, top and left of what is 255; the picture has no such level."""
    erased = pictures == 255
    rows, cols = erased.any(2), erased.any(1)
    return rows.sum(1), cols.sum(1), rows.argmax(1), cols.argmax(1)


def margins(pictures):
    """Rows and columns of padding, and which side they are on."""
    rows, cols = (pictures == 0).all(2), (pictures == 0).all(1)
    return rows.sum(1), cols.sum(1), rows[:, 0], cols[:, 0]


def agreement(features, one, other):
    """The smallest p-value of all features."""
    pairs = zip(features(one), features(other), strict=True)
    return min(stats.ks_2samp(a, b).pvalue for a, b in pairs)


def erase_by_torchvision():
    # On tensors, as it is made for.
    erase = tv.RandomErasing(0.5, (0.02, 0.33), (0.3, 3.3), value=255)
    torch.manual_seed(0)
    face = torch.from_numpy(NOISE)[None]
    return np.stack([erase(face)[0].numpy() for _ in range(COUNT)])


CASES = {
    'crop': (
        corner,
        lambda: by_batch(batch.BatchRandomCrop(44)),
        lambda: by_mmpretrain(type='mmpretrain.RandomCrop', crop_size=44),
        lambda: by_batch(batch.BatchRandomCrop(45)),
    ),
    'padded crop': (
        margins,
        lambda: by_batch(batch.BatchRandomCrop(48, padding=4)),
        lambda: by_mmpretrain(type='mmpretrain.RandomCrop', crop_size=48, padding=4),
        lambda: by_batch(batch.BatchRandomCrop(48, padding=3)),
    ),
    'flip': (
        corner,
        lambda: by_batch(batch.BatchRandomFlip(0.5)),
        lambda: by_mmpretrain(type='mmpretrain.RandomFlip', prob=0.5),
        lambda: by_batch(batch.BatchRandomFlip(0.38)),
    ),
    'jitter': (
        look,
        lambda: by_batch(batch.BatchColorJitter(**JITTER)),
        lambda: one_by_one(tv.ColorJitter(**JITTER)),
        lambda: by_batch(batch.BatchColorJitter(0.35, 0.5)),
    ),
    'blur': (
        look,
        lambda: by_batch(batch.BatchGaussianBlur(**BLUR)),
        lambda: one_by_one(tv.GaussianBlur(**BLUR)),
        lambda: by_batch(batch.BatchGaussianBlur((5, 9), (0.1, 4.0))),
    ),
    'sharpness': (
        look,
        lambda: by_batch(batch.BatchRandomAdjustSharpness(2, 0.5)),
        lambda: one_by_one(tv.RandomAdjustSharpness(2, 0.5)),
        lambda: by_batch(batch.BatchRandomAdjustSharpness(2, 0.38)),
    ),
    'erasing': (
        gap,
        lambda: by_batch(batch.BatchRandomErasing(0.5, value=255)),
        erase_by_torchvision,
        lambda: by_batch(batch.BatchRandomErasing(0.5, (0.02, 0.2), value=255)),
    ),
    'rotation': (
        corner,
        lambda: by_batch(batch.BatchRotate(10), face=RAMP),
        lambda: by_mmpretrain(
            RAMP,
            type='mmpretrain.Rotate',
            prob=1.0,
            magnitude_range=(0, 10),
            magnitude_std='inf',
            interpolation='bilinear',
        ),
        lambda: by_batch(batch.BatchRotate(8), face=RAMP),
    ),
    'jitter and blur, or none': (
        look,
        lambda: by_batch(
            batch.BatchRandomApply(
                [
                    {'type': 'hpml_mm.BatchColorJitter', **JITTER},
                    {'type': 'hpml_mm.BatchGaussianBlur', **BLUR},
                ],
                prob=0.5,
            )
        ),
        lambda: one_by_one(
            tv.RandomApply([tv.ColorJitter(**JITTER), tv.GaussianBlur(**BLUR)], 0.5)
        ),
        lambda: by_batch(
            batch.BatchColorJitter(**JITTER), batch.BatchGaussianBlur(**BLUR)
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_the_distribution_is_that_of_single_samples(case):
    features, ours, theirs, wrong = CASES[case]
    reference = theirs()
    assert agreement(features, ours(), reference) > LEAST
    # The same test finds out a parameter that is a little off.
    assert agreement(features, wrong(), reference) < CLEAR


def test_all_windows_of_a_crop_are_equally_probable():
    numbered = np.arange(48 * 48).reshape(48, 48)
    low = by_batch(batch.BatchRandomCrop(44), face=(numbered % 256).astype(np.uint8))
    high = by_batch(batch.BatchRandomCrop(44), face=(numbered // 256).astype(np.uint8))
    places = high[:, 0, 0].astype(int) * 256 + low[:, 0, 0]
    counts = [
        np.count_nonzero(places == 48 * y + x) for y in range(5) for x in range(5)
    ]
    assert sum(counts) == COUNT
    assert stats.chisquare(counts).pvalue > LEAST


def test_choices_of_one_face_are_independent():
    ramp = np.tile(np.arange(48, dtype=np.uint8), (48, 1))
    pictures = by_batch(batch.BatchRandomCrop(44), batch.BatchRandomFlip(), face=ramp)
    flipped = pictures[:, 0, 0] > pictures[:, 0, 1]
    left = pictures[:, 0].min(1)
    table = np.histogram2d(flipped, left, bins=(2, 5))[0]
    assert stats.chi2_contingency(table).pvalue > LEAST
