# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""With the same parameters, batched transforms give what those of one sample give."""

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop
from PIL import Image
from torchvision.transforms import functional as tv

from hpml_mm.datasets import DemoFaceDataset
from hpml_mm.datasets.fer.array.augmentation import Augmentation
from hpml_mm.datasets.transforms import batch
from hpml_mm.datasets.transforms.batch import base
from hpml_mm.datasets.transforms.batch.geometry import rotate


@pytest.fixture(scope='module')
def faces() -> torch.Tensor:
    """Drawn faces, and noise, in which every error is largest: (28, 48, 48)."""
    drawn = DemoFaceDataset('train', num_per_class=2)
    images = [drawn.get_data_info(i)['img'] for i in range(len(drawn))]
    noise = np.random.default_rng(0).integers(0, 256, (14, 48, 48), np.uint8)
    return torch.from_numpy(np.stack([*images, *noise]))


def augmented(transforms, faces, draws):
    """Apply transforms with the same draws for each face."""
    augmentation = Augmentation(transforms, faces.shape[1:])
    draws = torch.tensor(draws, dtype=torch.float32).reshape(-1, 1)
    assert len(draws) == augmentation.num_draws
    out = augmentation(faces, draws.expand(-1, len(faces)))
    assert out.dtype == torch.uint8
    return out[:, 0]


def by_pil(faces, *steps):
    images = [Image.fromarray(face) for face in faces.numpy()]
    for step in steps:
        images = [step(image) for image in images]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def deviation(one, other):
    """Largest difference in levels, and the share of pixels that differ."""
    difference = (one.int() - other.int()).abs()
    return difference.max().item(), (difference > 0).float().mean().item()


@pytest.mark.parametrize('padding', [0, 4])
def test_crops(faces, padding):
    places = 48 + 2 * padding - 40 + 1
    for top, left in ((0, 0), (3, 1), (places - 1, places - 2)):
        # The last of all random numbers still falls on the last place.
        draws = [(top + 0.5) / places, (left + 1) / places - 2**-24]
        got = augmented([batch.BatchRandomCrop((40, 40), padding)], faces, draws)
        expected = by_pil(
            faces,
            lambda image: tv.pad(image, padding),
            lambda image, y=top, x=left: tv.crop(image, y, x, 40, 40),
        )
        assert torch.equal(got, expected)
    got = augmented([batch.BatchRandomCrop((44, 20))], faces, [1 - 2**-24, 0.0])
    assert torch.equal(got, faces[:, 4:, :20])


@pytest.mark.parametrize('size', [44, 43, (44, 20), 48])
def test_centre_crops(faces, size):
    height, width = (size, size) if isinstance(size, int) else size
    crop = CenterCrop(crop_size=(width, height))
    expected = np.stack([crop({'img': face.numpy()})['img'] for face in faces])
    got = augmented([batch.BatchCenterCrop(size)], faces, [])
    assert np.array_equal(got, expected)


def test_flips(faces):
    assert torch.equal(
        augmented([batch.BatchRandomFlip(0.5)], faces, [0.49]), faces.flip(-1)
    )
    assert torch.equal(augmented([batch.BatchRandomFlip(0.5)], faces, [0.5]), faces)


@pytest.mark.parametrize('size', [224, 64, 48, 30, 1, (60, 100), (30, 20)])
def test_sizes_are_pillows(faces, size):
    shape = [size, size] if isinstance(size, int) else list(size)
    expected = by_pil(faces, lambda image: tv.resize(image, shape))
    assert torch.equal(augmented([batch.BatchResize(size)], faces, []), expected)


@pytest.mark.parametrize('kernel', [(5, 9), (9, 5), (1, 3)])
@pytest.mark.parametrize('sigma', [0.1, 0.5, 2.0, 5.0])
def test_blurs_are_torchvisions(faces, kernel, sigma):
    blur = batch.BatchGaussianBlur(kernel, (0.1, 5.0))
    got = augmented([blur], faces, [(sigma - 0.1) / 4.9])
    expected = by_pil(faces, lambda image: tv.gaussian_blur(image, list(kernel), sigma))
    largest, share = deviation(got, expected)
    assert largest <= 1
    assert share < 0.001


@pytest.mark.parametrize('factor', [0.0, 0.5, 1.0, 2.0, 3.3])
def test_sharpness_is_pillows(faces, factor):
    sharpness = batch.BatchRandomAdjustSharpness(factor, prob=1.0)
    expected = by_pil(faces, lambda image: tv.adjust_sharpness(image, factor))
    got = augmented([sharpness], faces, [0.0])
    # Fractions of a level are cut off, and some are nothing but rounding errors.
    largest, share = deviation(got, expected)
    assert largest <= (factor % 1 > 0)
    assert share < 0.05
    unchosen = batch.BatchRandomAdjustSharpness(factor, 0.5)
    assert torch.equal(augmented([unchosen], faces, [0.5]), faces)


@pytest.mark.parametrize('brightness_first', [True, False])
@pytest.mark.parametrize('factors', [(0.5, 1.5), (1.37, 0.61), (1.5, 1.5), (1.0, 1.0)])
def test_jitter_is_pillows(faces, factors, brightness_first):
    jitter = batch.BatchColorJitter(brightness=0.5, contrast=0.5)
    draws = [0.25 if brightness_first else 0.75, factors[0] - 0.5, factors[1] - 0.5]
    steps = [
        lambda image: tv.adjust_brightness(image, factors[0]),
        lambda image: tv.adjust_contrast(image, factors[1]),
    ]
    expected = by_pil(faces, *(steps if brightness_first else steps[::-1]))
    # As above; one level before contrast grows with its factor.
    largest, share = deviation(augmented([jitter], faces, draws), expected)
    assert largest <= 2
    assert share < 0.01


@pytest.mark.parametrize('angle', [-10.0, 0.0, 3.3, 90.0])
def test_rotations_are_opencvs(faces, angle):
    # What is smooth shows the positions, not how they are rounded.
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing='ij')
    smooth = (120 + 2 * y - x).round()[None].repeat(3, 1, 1)
    got = rotate(smooth, torch.full((3,), np.deg2rad(angle)).float(), 128)
    expected = mmcv.imrotate(
        smooth[0].numpy().astype(np.uint8), angle, border_value=128
    )
    difference = (got - torch.from_numpy(expected).float()).abs()
    assert difference[:, 8:-8, 8:-8].max() <= 1
    # OpenCV's positions are multiples of 1/32 pixel; the border shows that most.
    assert difference.max() <= 6
    assert (difference > 1).float().mean() < 0.02


def test_a_rotation_is_drawn_and_a_face_need_not_be_square(faces):
    tall = faces[:, :, :20]
    half = [batch.BatchRotate(180, prob=0.5)]
    assert torch.equal(augmented(half, tall, [0.49, 0.0]), tall.flip(1, 2))
    assert torch.equal(augmented(half, tall, [0.5, 0.0]), tall)
    got = augmented([batch.BatchRotate(10)], faces, [0.999, 0.75])
    expected = rotate(faces, torch.full((len(faces),), np.deg2rad(5.0)), 128)
    assert torch.equal(got, expected.byte())


def test_erased_rectangles(faces):
    erasing = batch.BatchRandomErasing(1.0, (0.25, 0.25), (4.0, 4.0), 7)
    # 48 x 12 is not less high than the face and refused ten times over.
    assert torch.equal(augmented([erasing], faces, [0.0] * 23), faces)
    erasing = batch.BatchRandomErasing(1.0, (0.25, 0.25), (1.0, 1.0), 7)
    got = augmented([erasing], faces, [0.0] * 21 + [0.5, 0.99])
    assert torch.equal(got, tv.erase(faces, 12, 24, 24, 24, 7))
    erasing = batch.BatchRandomErasing(0.5)
    assert torch.equal(augmented([erasing], faces, [0.5] * 23), faces)
    # Ratios from 1/16 to 16: the first two tries are too high and too wide.
    erasing = batch.BatchRandomErasing(1.0, (0.25, 0.25), (1 / 16, 16.0), 7)
    ratios = [0.999, 0.001, 0.5, *[0.4] * 7]
    got = augmented([erasing], faces, [0.0, *[0.5] * 10, *ratios, 0.0, 0.0])
    assert ((got[0] == 7) | (faces[0] == 7)).sum() >= 24 * 24
    assert torch.equal(got[:, :24, :24], torch.full_like(got[:, :24, :24], 7))
    assert torch.equal(got[:, 24:], faces[:, 24:])


def test_a_group_is_applied_together_or_not_at_all(faces):
    flip, sharpen = 'hpml_mm.BatchRandomFlip', 'hpml_mm.BatchRandomAdjustSharpness'
    sharper = {'type': sharpen, 'sharpness_factor': 2, 'prob': 1.0}
    group = batch.BatchRandomApply([{'type': flip, 'prob': 1.0}, sharper], prob=0.5)
    expected = by_pil(faces, tv.hflip, lambda image: tv.adjust_sharpness(image, 2))
    assert torch.equal(augmented([group], faces, [0.49, 0.0, 0.0]), expected)
    assert torch.equal(augmented([group], faces, [0.5, 0.0, 0.0]), faces)


@pytest.mark.parametrize('sigma', [0.1, 0.8, 5.0])
def test_hpml_2023s_chain_deviates_by_few_levels(faces, sigma):
    chain = [
        batch.BatchResize(224),
        batch.BatchRandomFlip(0.5),
        batch.BatchGaussianBlur((5, 9), (0.1, 5.0)),
        batch.BatchRandomAdjustSharpness(2.0, 0.5),
    ]
    got = augmented(chain, faces, [0.0, (sigma - 0.1) / 4.9, 0.0])
    expected = by_pil(
        faces,
        lambda image: tv.resize(image, [224, 224]),
        tv.hflip,
        lambda image: tv.gaussian_blur(image, [5, 9], sigma),
        lambda image: tv.adjust_sharpness(image, 2.0),
    )
    # Resized levels are not rounded before the blur. Sharpening triples that.
    difference = (got.int() - expected.int()).float()
    assert difference.abs().max() <= 4
    assert difference.abs().mean() < 0.4
    assert abs(difference.mean()) < 0.05


@pytest.mark.parametrize(
    ('step', 'draws'),
    [
        (batch.BatchRandomCrop(60, 5), [0.5, 0.1]),
        (batch.BatchGaussianBlur((3, 3), (1.0, 1.0)), [0.0]),
        (batch.BatchRandomAdjustSharpness(2.0, 1.0), [0.0]),
        (batch.BatchRandomFlip(1.0), [0.0]),
        (batch.BatchResize(100), []),
    ],
    ids=repr,
)
def test_a_pending_resize_is_done_before_anything_else(faces, step, draws):
    at_once = augmented([batch.BatchResize(64), step], faces, draws)
    resized = augmented([batch.BatchResize(64)], faces, [])
    one_by_one = augmented([step], resized, draws)
    is_blur = isinstance(step, batch.BatchGaussianBlur)
    assert deviation(at_once, one_by_one)[0] <= is_blur


CHAIN = [
    batch.BatchRandomCrop(44),
    batch.BatchRandomFlip(),
    batch.BatchRandomApply(
        [{'type': 'hpml_mm.BatchColorJitter', 'brightness': 0.5, 'contrast': 0.5}]
    ),
    batch.BatchRandomErasing(),
    batch.BatchRotate(10),
    batch.BatchResize(64),
    batch.BatchRandomFlip(),
    batch.BatchGaussianBlur((5, 9)),
    batch.BatchRandomAdjustSharpness(2),
    batch.BatchCenterCrop(60),
]


def test_every_face_has_draws_of_its_own_also_in_a_gpus_way(faces, monkeypatch):
    before = faces.clone()
    augmentation = Augmentation(CHAIN, (48, 48))
    draws = torch.rand(augmentation.num_draws, len(faces))
    together = augmentation(faces, draws)
    for index in (0, 5, 27):
        alone = augmentation(faces[[index]], draws[:, [index]])
        assert torch.equal(alone[0], together[index])
    assert augmentation(faces[:0], draws[:, :0]).shape == (0, 1, 60, 60)
    monkeypatch.setattr(base, '_is_known', lambda values: False)
    assert torch.equal(augmentation(faces, draws), together)
    assert torch.equal(faces, before)


def test_nothing_has_to_be_known_of_what_is_on_a_device():
    # A meta tensor has no values: who asks for one fails.
    augmentation = Augmentation(CHAIN, (48, 48))
    faces = torch.empty(9, 48, 48, dtype=torch.uint8, device='meta')
    draws = torch.empty(augmentation.num_draws, 9, device='meta')
    assert augmentation(faces, draws).shape == (9, 1, 60, 60)


FIVE = {'kernel_size': (5, 5)}
WRONG = [
    (batch.BatchRandomCrop, {'size': 0}, 'size=0'),
    (batch.BatchRandomCrop, {'size': (44, 44, 1)}, r'size=\(44, 44, 1\)'),
    (batch.BatchRandomCrop, {'size': 44, 'padding': -1}, 'padding=-1'),
    (batch.BatchRandomFlip, {'prob': 1.5}, 'prob=1.5'),
    (batch.BatchGaussianBlur, {'kernel_size': (4, 5)}, r'kernel_size=\(4, 5\)'),
    (batch.BatchGaussianBlur, {**FIVE, 'sigma': (0.0, 1.0)}, r'sigma=\(0.0, 1.0\)'),
    (batch.BatchGaussianBlur, {**FIVE, 'sigma': (2.0, 1.0)}, r'sigma=\(2.0, 1.0\)'),
    (batch.BatchColorJitter, {'brightness': (0.5, 0.2)}, r'brightness=\(0.5, 0.2\)'),
    (batch.BatchColorJitter, {'contrast': -1}, r'contrast=\(2.0, 0.0\)'),
    (batch.BatchRandomAdjustSharpness, {'sharpness_factor': -1}, 'sharpness_factor=-1'),
    (batch.BatchRandomErasing, {'value': 256}, 'value=256'),
    (batch.BatchRandomErasing, {'scale': (0, 0.3)}, r'scale=\(0, 0.3\)'),
]


@pytest.mark.parametrize(('kind', 'arguments', 'key'), WRONG)
def test_impossible_arguments(kind, arguments, key):
    with pytest.raises(ValueError, match=f'{kind.__name__}: {key}'):
        kind(**arguments)


def test_what_does_not_fit_together(faces):
    for crop in (batch.BatchRandomCrop(64), batch.BatchCenterCrop(64)):
        with pytest.raises(ValueError, match=r'\(64, 64\) does not fit .* \(48, 48\)'):
            Augmentation([crop], (48, 48))
    smaller = batch.BatchRandomApply([{'type': 'hpml_mm.BatchResize', 'size': 9}])
    with pytest.raises(ValueError, match=r'BatchResize\(size=\(9, 9\)\) makes'):
        Augmentation([smaller], (4, 4))
    with pytest.raises(ValueError, match='9 pixels cannot reflect an image of 4'):
        augmented([batch.BatchGaussianBlur((1, 9))], faces[:, :4], [0.5])
    with pytest.raises(TypeError, match='LoadFace changes one sample at a time'):
        Augmentation([{'type': 'hpml_mm.LoadFace'}], (48, 48))
