# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""With the same parameters, batched transforms give what those of one sample give."""

import mmcv
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from hpml_mm.datasets import DemoFaceDataset
from hpml_mm.datasets.fer.array.augmentation import Augmentation
from hpml_mm.datasets.fer.array.counter_random import uniforms
from hpml_mm.datasets.transforms.batch import (
    BatchCenterCrop,
    BatchColorJitter,
    BatchGaussianBlur,
    BatchRandomAdjustSharpness,
    BatchRandomApply,
    BatchRandomCrop,
    BatchRandomErasing,
    BatchRandomFlip,
    BatchResize,
    BatchRotate,
    base,
)
from hpml_mm.datasets.transforms.batch.base import FaceBatch, integers
from hpml_mm.datasets.transforms.batch.geometry import rotate
from hpml_mm.datasets.transforms.batch.separable import resize_matrix


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
    assert len(draws) == len(augmentation.streams)
    out = augmentation(faces, draws.expand(-1, len(faces)))
    assert out.dtype == torch.uint8
    return out[:, 0]


def by_pil(faces, *steps):
    images = []
    for face in faces.numpy():
        image = Image.fromarray(face)
        for step in steps:
            image = step(image)
        images.append(np.asarray(image))
    return torch.from_numpy(np.stack(images))


def deviation(one, other):
    """Largest difference in levels, and the share of pixels that differ."""
    difference = (one.int() - other.int()).abs()
    return difference.max().item(), (difference > 0).float().mean().item()


@pytest.mark.parametrize('padding', [0, 4])
def test_crops(faces, padding):
    places = 48 + 2 * padding - 40 + 1
    for top, left in ((0, 0), (3, 1), (places - 1, places - 2)):
        draws = [(top + 0.5) / places, (left + 0.5) / places]
        got = augmented([BatchRandomCrop((40, 40), padding)], faces, draws)
        expected = by_pil(
            faces,
            lambda image: tv.pad(image, padding),
            lambda image, y=top, x=left: tv.crop(image, y, x, 40, 40),
        )
        assert torch.equal(got, expected)


def test_a_crop_need_not_be_square(faces):
    got = augmented([BatchRandomCrop((44, 20))], faces, [0.999, 0.0])
    assert torch.equal(got, faces[:, 4:, :20])


@pytest.mark.parametrize('size', [44, 43, (44, 20), 48])
def test_centre_crops(faces, size):
    from mmcv.transforms import CenterCrop

    height, width = (size, size) if isinstance(size, int) else size
    crop = CenterCrop(crop_size=(width, height))
    expected = [crop({'img': face.numpy()})['img'] for face in faces]
    got = augmented([BatchCenterCrop(size)], faces, [])
    assert torch.equal(got, torch.from_numpy(np.stack(expected)))


def test_flips(faces):
    assert torch.equal(augmented([BatchRandomFlip(0.5)], faces, [0.49]), faces.flip(-1))
    assert torch.equal(augmented([BatchRandomFlip(0.5)], faces, [0.5]), faces)


@pytest.mark.parametrize('size', [224, 64, 48, 30, (60, 100), (30, 20)])
def test_sizes_are_pillows(faces, size):
    shape = [size, size] if isinstance(size, int) else list(size)
    expected = by_pil(faces, lambda image: tv.resize(image, shape))
    assert torch.equal(augmented([BatchResize(size)], faces, []), expected)


def test_weights_of_a_resize_are_a_mean():
    for length, new in ((48, 224), (48, 30), (7, 7), (1, 5), (5, 1)):
        matrix = resize_matrix(length, new)
        assert matrix.shape == (new, length)
        assert (matrix.sum(1) - 1).abs().max() < 1e-6
        # Mirrored, it is the same: a face may be flipped before or after.
        torch.testing.assert_close(matrix.flip(0, 1), matrix, atol=2**-22, rtol=0)


@pytest.mark.parametrize('kernel', [(5, 9), (9, 5), (1, 3)])
@pytest.mark.parametrize('sigma', [0.1, 0.5, 2.0, 5.0])
def test_blurs_are_torchvisions(faces, kernel, sigma):
    blur = BatchGaussianBlur(kernel, (0.1, 5.0))
    got = augmented([blur], faces, [(sigma - 0.1) / 4.9])
    expected = by_pil(faces, lambda image: tv.gaussian_blur(image, list(kernel), sigma))
    largest, share = deviation(got, expected)
    assert largest <= 1
    assert share < 0.001


@pytest.mark.parametrize('factor', [0.0, 0.5, 1.0, 2.0, 3.3])
def test_sharpness_is_pillows(faces, factor):
    sharpness = BatchRandomAdjustSharpness(factor, prob=1.0)
    expected = by_pil(faces, lambda image: tv.adjust_sharpness(image, factor))
    got = augmented([sharpness], faces, [0.0])
    # Fractions of a level are cut off, and some are nothing but rounding errors.
    largest, share = deviation(got, expected)
    assert largest <= (factor % 1 > 0)
    assert share < 0.05
    unchosen = augmented([BatchRandomAdjustSharpness(factor, 0.5)], faces, [0.5])
    assert torch.equal(unchosen, faces)


@pytest.mark.parametrize('brightness_first', [True, False])
@pytest.mark.parametrize('factors', [(0.5, 1.5), (1.37, 0.61), (1.5, 1.5), (1.0, 1.0)])
def test_jitter_is_pillows(faces, factors, brightness_first):
    jitter = BatchColorJitter(brightness=0.5, contrast=0.5)
    draws = [0.25 if brightness_first else 0.75, factors[0] - 0.5, factors[1] - 0.5]
    steps = [
        lambda image: tv.adjust_brightness(image, factors[0]),
        lambda image: tv.adjust_contrast(image, factors[1]),
    ]
    expected = by_pil(faces, *(steps if brightness_first else steps[::-1]))
    largest, share = deviation(augmented([jitter], faces, draws), expected)
    # As above; one level before contrast grows with its factor.
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


def test_rotations_of_a_rectangle():
    tall = torch.arange(24.0).reshape(1, 6, 4)
    half = rotate(tall, torch.tensor([torch.pi]))
    assert torch.equal(half, tall.flip(1, 2))


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_rotation_is_drawn(faces, prob):
    rotation = BatchRotate(10, prob=prob)
    got = augmented([rotation], faces, [0.999, 0.75])
    expected = rotate(faces, torch.full((len(faces),), np.deg2rad(5.0 * prob)), 128)
    assert torch.equal(got, expected.byte())
    assert torch.equal(got, faces) is (prob == 0.0)


def test_erased_rectangles(faces):
    erasing = BatchRandomErasing(1.0, scale=(0.25, 0.25), ratio=(4.0, 4.0), value=7)
    # 48 x 12 is not less high than the face and refused ten times over.
    assert torch.equal(augmented([erasing], faces, [0.0] * 23), faces)
    erasing = BatchRandomErasing(1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0), value=7)
    got = augmented([erasing], faces, [0.0] * 21 + [0.5, 0.99])
    expected = by_pil(
        faces, lambda image: tv.to_pil_image(tv.erase(_whole(image), 12, 24, 24, 24, 7))
    )
    assert torch.equal(got, expected)
    erasing = BatchRandomErasing(0.5)
    assert torch.equal(augmented([erasing], faces, [0.5] * 23), faces)


def test_the_first_rectangle_that_fits_is_taken(faces):
    # Ratios from 1/16 to 16: the first two tries are too high and too wide.
    erasing = BatchRandomErasing(1.0, (0.25, 0.25), (1 / 16, 16.0), 7)
    ratios = [0.999, 0.001, 0.5, *[0.4] * 7]
    got = augmented([erasing], faces, [0.0, *[0.5] * 10, *ratios, 0.0, 0.0])
    assert ((got[0] == 7) | (faces[0] == 7)).sum() >= 24 * 24
    assert torch.equal(got[:, :24, :24], torch.full_like(got[:, :24, :24], 7))
    assert torch.equal(got[:, 24:], faces[:, 24:])


def test_a_group_is_applied_together_or_not_at_all(faces):
    config = {'type': 'hpml_mm.BatchRandomFlip', 'prob': 1.0}
    sharper = {'type': 'hpml_mm.BatchRandomAdjustSharpness', 'sharpness_factor': 2}
    group = BatchRandomApply([config, {**sharper, 'prob': 1.0}], prob=0.5)
    expected = by_pil(faces, tv.hflip, lambda image: tv.adjust_sharpness(image, 2))
    assert torch.equal(augmented([group], faces, [0.49, 0.0, 0.0]), expected)
    assert torch.equal(augmented([group], faces, [0.5, 0.0, 0.0]), faces)


@pytest.mark.parametrize('sigma', [0.1, 0.8, 5.0])
def test_hpml_2023s_chain_deviates_by_few_levels(faces, sigma):
    chain = [
        BatchResize(224),
        BatchRandomFlip(0.5),
        BatchGaussianBlur((5, 9), (0.1, 5.0)),
        BatchRandomAdjustSharpness(2.0, 0.5),
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


def test_levels_that_come_in_are_left_alone(faces):
    before = faces.clone()
    chain = [
        BatchCenterCrop(48),
        BatchRandomAdjustSharpness(2.0, 1.0),
        BatchRandomFlip(1.0),
        BatchColorJitter(0.5, 0.5),
        BatchRandomErasing(1.0),
    ]
    augmented(chain, faces, [0.3] * (1 + 1 + 3 + 23))
    assert torch.equal(faces, before)


@pytest.mark.parametrize('then', ['crop', 'blur', 'sharpen', 'flip', 'resize'])
def test_a_pending_resize_is_done_before_anything_else(faces, then):
    step, draws = {
        'crop': (BatchRandomCrop(60, 5), [0.5, 0.1]),
        'blur': (BatchGaussianBlur((3, 3), (1.0, 1.0)), [0.0]),
        'sharpen': (BatchRandomAdjustSharpness(2.0, 1.0), [0.0]),
        'flip': (BatchRandomFlip(1.0), [0.0]),
        'resize': (BatchResize(100), []),
    }[then]
    at_once = augmented([BatchResize(64), step], faces, draws)
    resized = augmented([BatchResize(64)], faces, [])
    one_by_one = augmented([step], resized, draws)
    assert deviation(at_once, one_by_one)[0] <= (then == 'blur')


CHAIN = [
    BatchRandomCrop(44),
    BatchRandomFlip(),
    BatchRandomApply(
        [
            {'type': 'hpml_mm.BatchColorJitter', 'brightness': 0.5, 'contrast': 0.5},
            {'type': 'hpml_mm.BatchRandomAdjustSharpness', 'sharpness_factor': 3},
        ]
    ),
    BatchRandomErasing(),
    BatchRotate(10),
    BatchResize(64),
    BatchRandomFlip(),
    BatchGaussianBlur((5, 9)),
    BatchRandomAdjustSharpness(2),
    BatchCenterCrop(60),
]


def test_a_gpus_way_gives_the_same(faces, monkeypatch):
    augmentation = Augmentation(CHAIN, (48, 48))
    draws = uniforms(0, 0, augmentation.streams, torch.arange(len(faces)))
    expected = augmentation(faces, draws)
    monkeypatch.setattr(base, '_known', lambda values: False)
    assert torch.equal(augmentation(faces, draws), expected)


def test_nothing_has_to_be_known_of_what_is_on_a_device():
    # A meta tensor has no values: who asks for one fails.
    augmentation = Augmentation(CHAIN, (48, 48))
    faces = torch.empty(9, 48, 48, dtype=torch.uint8, device='meta')
    draws = torch.empty(len(augmentation.streams), 9, device='meta')
    assert augmentation(faces, draws).shape == (9, 1, 60, 60)


def test_every_face_has_draws_of_its_own(faces):
    augmentation = Augmentation(
        [BatchRandomCrop(44), BatchRandomFlip(), BatchGaussianBlur((3, 3), (0.1, 3.0))],
        (48, 48),
    )
    draws = torch.rand(4, len(faces), generator=torch.Generator().manual_seed(0))
    together = augmentation(faces, draws)
    for index in (0, 5, 27):
        alone = augmentation(faces[[index]], draws[:, [index]])
        assert torch.equal(alone[0], together[index])


def test_integers_stay_below_their_count():
    largest = torch.tensor(1 - 2.0**-24)
    for count in (*range(1, 300), 2**10 - 1, 2**20 + 1, 2**23):
        assert integers(largest, count) == count - 1


def test_streams_are_named_by_kind():
    flip, crop = BatchRandomFlip(), BatchRandomCrop(48)
    streams = Augmentation([crop, flip, flip], (48, 48)).streams
    assert streams == (
        'BatchRandomCrop/0/0',
        'BatchRandomCrop/0/1',
        'BatchRandomFlip/0/0',
        'BatchRandomFlip/1/0',
    )
    assert Augmentation([flip], (48, 48)).streams == ('BatchRandomFlip/0/0',)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: BatchRandomCrop(0), 'BatchRandomCrop: size=0'),
        (lambda: BatchRandomCrop((44, 44, 1)), r'size=\(44, 44, 1\)'),
        (lambda: BatchRandomCrop(44, padding=-1), 'padding=-1 is negative'),
        (lambda: BatchRandomFlip(1.5), 'BatchRandomFlip: prob=1.5, not from 0 to 1'),
        (lambda: BatchGaussianBlur((4, 5)), r'kernel_size=\(4, 5\), not two odd'),
        (lambda: BatchGaussianBlur((5, 5), (0.0, 1.0)), r'sigma=\(0.0, 1.0\), not'),
        (lambda: BatchGaussianBlur((5, 5), (2.0, 1.0)), r'sigma=\(2.0, 1.0\), not'),
        (lambda: BatchColorJitter((0.5, 0.2)), r'brightness=\(0.5, 0.2\), not'),
        (lambda: BatchColorJitter(contrast=-1), r'contrast=\(2.0, 0.0\), not'),
        (lambda: BatchRandomAdjustSharpness(-1), 'sharpness_factor=-1 is negative'),
        (lambda: BatchRandomErasing(value=256), 'value=256 is no level'),
        (lambda: BatchRandomErasing(scale=(0, 0.3)), r'scale=\(0, 0.3\), not'),
        (
            lambda: Augmentation([BatchRandomCrop(64)], (48, 48)),
            r'window of \(64, 64\) does not fit into faces of \(48, 48\)',
        ),
        (
            lambda: Augmentation([BatchCenterCrop(64)], (48, 48)),
            r'window of \(64, 64\) does not fit',
        ),
        (
            lambda: Augmentation(
                [BatchRandomApply([{'type': 'hpml_mm.BatchResize', 'size': 9}])], (4, 4)
            ),
            r'keeps the size of some faces, but BatchResize\(size=\(9, 9\)\) makes',
        ),
    ],
)
def test_impossible_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_blur_wider_than_twice_the_face_is_refused(faces):
    with pytest.raises(ValueError, match='9 pixels cannot reflect an image of 4'):
        augmented([BatchGaussianBlur((1, 9))], faces[:, :4], [0.5])


def test_a_transform_of_single_samples_is_refused():
    with pytest.raises(TypeError, match='LoadFace changes one sample at a time'):
        Augmentation([{'type': 'hpml_mm.LoadFace'}], (48, 48))


def test_an_empty_batch(faces):
    assert augmented([BatchRandomCrop(44)], faces[:0], [0.0, 0.0]).shape == (0, 44, 44)


def test_a_batch_knows_its_length(faces):
    assert len(FaceBatch(faces)) == 28


def _whole(image):
    return torch.from_numpy(np.array(image))[None]
