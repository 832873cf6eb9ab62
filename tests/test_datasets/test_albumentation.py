# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Albumentations' transforms on images and keypoints, with real transforms."""

import copy
import pickle

import numpy as np
import pytest
from toy_crops import FLIP_INDICES, FLIPS, POINTS, SIZE, always, crop

from hpml_mm.datasets.transforms import Albumentation
from hpml_mm.datasets.transforms.albumentation_build import remap_points


def dot(image, number) -> np.ndarray:
    """Where the dot of keypoint ``number`` is now: x, y."""
    rows, columns = np.nonzero((image == 80 * (number + 1)).all(axis=2))
    return np.array([columns.mean(), rows.mean()])


MIRRORS = ['HorizontalFlip', 'VerticalFlip', 'Transpose', 'TimeReverse']


@pytest.mark.parametrize('name', MIRRORS)
def test_a_mirror_swaps_left_and_right(name):
    done = Albumentation(always(name))(crop())
    for number, partner in enumerate(FLIP_INDICES):
        # What was the left eye is now called the right one.
        expected = dot(done['img'], partner)
        np.testing.assert_allclose(done['transformed_keypoints'][0, number], expected)
        before = POINTS[0, partner] + 100
        np.testing.assert_allclose(done['keypoints'][0, number], before)


@pytest.mark.parametrize(
    'transforms',
    [
        [*always('HorizontalFlip'), *always('VerticalFlip')],
        always('Sequential', transforms=[*always('Transpose'), *always('Transpose')]),
        always('OneOf', transforms=always('Rotate', limit=(90, 90))),
        always('Rotate', limit=(180, 180)),
        always('RandomRotate90'),
        always('RandomGridShuffle', grid=(2, 2)),
    ],
    ids=['two flips', 'two transposes', 'quarter', 'half', 'rotate90', 'shuffle'],
)
def test_a_rotation_swaps_nothing(transforms):
    done = Albumentation(transforms)(crop())
    for number in range(3):
        np.testing.assert_allclose(
            done['transformed_keypoints'][0, number], dot(done['img'], number), atol=0.6
        )


@pytest.mark.parametrize('name', ['D4', 'SquareSymmetry'])
def test_each_symmetry_of_the_square_names_the_points_rightly(name):
    """Eye to eye to nose turns one way in the original: so it must in every outcome."""
    transform = Albumentation(always(name))
    seen = set()
    for seed in range(40):
        np.random.seed(seed)
        done = transform(crop())
        points = done['transformed_keypoints'][0]
        (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
        mirrored = not np.allclose(points[0], dot(done['img'], 0))
        # Naming the swapped eyes anew turns the mirrored triangle back.
        assert ax * by - ay * bx > 0
        assert mirrored == np.allclose(points[0], dot(done['img'], 1))
        seen.add(points.tobytes())
    assert len(seen) == 8


WARPS = [
    *always('Affine', scale=(0.8, 0.8), rotate=(25, 25), shear=(10, 10)),
    *always('ShiftScaleRotate', shift_limit=0.1),
    *always('SafeRotate', limit=(40, 40)),
    *always('Perspective'),
    *always('CropAndPad', percent=-0.1),
    *always('RandomResizedCrop', size=(SIZE, SIZE), scale=(0.7, 0.8)),
    *always('GridElasticDeform', num_grid_xy=(3, 3), magnitude=3),
    *always('ElasticTransform', alpha=20, sigma=8),
    *always('GridDistortion', num_steps=3),
    *always('OpticalDistortion'),
    *always('ThinPlateSpline', scale_range=(0.1, 0.1)),
]


@pytest.mark.parametrize('config', WARPS, ids=lambda config: config['type'])
def test_keypoints_follow_the_image_through_every_warp(config):
    blobs = crop()
    blobs['img'] = np.zeros((SIZE, SIZE, 3), np.uint8)
    for number, (x, y) in enumerate(POINTS[0].astype(int)):
        blobs['img'][y - 2 : y + 3, x - 2 : x + 3, number] = 250
    transform = Albumentation([config])
    for seed in range(3):
        np.random.seed(seed)
        done = transform(copy.deepcopy(blobs))
        assert done['transformed_keypoints'].shape == POINTS.shape
        for number, point in enumerate(done['transformed_keypoints'][0]):
            if done['keypoints_visible'][0, number]:
                weights = done['img'][..., number].astype(float)
                rows, columns = np.indices(weights.shape)
                found = [(columns * weights).sum(), (rows * weights).sum()]
                np.testing.assert_allclose(
                    point, np.array(found) / weights.sum(), atol=1
                )
        assert done['keypoints_visible'].any()


@pytest.mark.parametrize(
    ('x', 'shift', 'visible'), [(16, -20, 0), (-4, 20, 0), (-1, -20, 1), (16, 20, 1)]
)
def test_a_keypoint_that_crosses_the_edge_becomes_invisible(x, shift, visible):
    """One that comes in has no pixels; one that stays out is left to the codec."""
    points = POINTS.copy()
    points[0, 0] = x, 20
    move = always('Affine', translate_px={'x': (shift, shift), 'y': (0, 0)})
    done = Albumentation(move)(crop(points))
    np.testing.assert_allclose(done['transformed_keypoints'][0, 0], [x + shift, 20])
    np.testing.assert_array_equal(done['keypoints_visible'], [[visible, 1, 1]])


def test_visibility_goes_with_its_keypoint():
    item = crop()
    # The second value is a weight, which stays a weight.
    item['keypoints_visible'] = np.array([[[0, 0.1], [1, 0.2], [1, 0.3]]], np.float32)
    done = Albumentation(always('HorizontalFlip'))(item)
    np.testing.assert_allclose(
        done['keypoints_visible'], [[[1, 0.2], [0, 0.1], [1, 0.3]]]
    )


def test_a_lost_keypoint_is_invisible_and_the_others_keep_their_place():
    points = POINTS.copy()
    points[0, 0] = -9, -9
    done = Albumentation(always('ElasticTransform', alpha=10, sigma=8))(crop(points))
    np.testing.assert_array_equal(done['keypoints_visible'], [[0, 1, 1]])
    np.testing.assert_allclose(
        done['transformed_keypoints'][0, 1:], POINTS[0, 1:], atol=3
    )


def test_a_point_is_followed_through_a_map_in_numbers():
    # A pixel at (x, y) comes from (2 x - 5.5, y + .25).
    rows, columns = np.indices((20, 20), np.float32)
    points = np.array([[4.5, 10.25, 0], [8.0, 3.0, 1], [39.0, 3.0, 2]])
    moved = remap_points(points, 2 * columns - 5.5, rows + 0.25)
    # Only half a step of a pixel is taken as if the map were a shift.
    np.testing.assert_allclose(moved[0], [5, 10, 0])
    np.testing.assert_allclose(moved[1], [6.75, 2.75, 1], atol=0.5)
    # The last pixel shows x = 32.5.
    assert moved[:, 2].tolist() == [0, 1]


def test_colour_leaves_the_keypoints_alone():
    item = crop()
    done = Albumentation(always('InvertImg'))(copy.deepcopy(item))
    np.testing.assert_array_equal(done['img'], 255 - item['img'])
    for key in ('transformed_keypoints', 'keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(done[key], item[key])


def test_a_transform_that_did_not_run_changes_no_number():
    points = POINTS + np.float32(1 / 3)
    done = Albumentation([{'type': 'HorizontalFlip', 'p': 0.0}])(crop(points))
    np.testing.assert_array_equal(done['transformed_keypoints'], points)


def test_a_hole_hides_no_keypoint():
    hole = always(
        'CoarseDropout',
        num_holes_range=(1, 1),
        hole_height_range=(SIZE, SIZE),
        hole_width_range=(SIZE, SIZE),
    )
    done = Albumentation(hole)(crop())
    assert not done['img'].any()
    np.testing.assert_array_equal(done['transformed_keypoints'], POINTS)
    np.testing.assert_array_equal(done['keypoints_visible'], [[1, 1, 1]])


def test_before_the_crop_only_what_moves_no_point():
    item = crop()
    del item['transformed_keypoints']
    holes = [*always('CoarseDropout'), *always('GaussianBlur')]
    assert Albumentation(holes)(copy.deepcopy(item))['img'].shape == (SIZE, SIZE, 3)
    with pytest.raises(ValueError, match='Rotate.*keypoints.*behind TopdownAffine'):
        Albumentation([*holes, {'type': 'Rotate', 'p': 0.1}])(item)
    with pytest.raises(ValueError, match='away from its bbox'):
        Albumentation(always('Rotate'))({'img': item['img'], 'bbox': np.ones((1, 4))})


def test_another_size_and_a_mirror_without_partners_are_refused():
    with pytest.raises(ValueError, match=r'\(65, 65\) to \(32, 48\).*Resize'):
        Albumentation(always('RandomCrop', height=48, width=32))(crop())
    item = crop()
    del item['flip_indices']
    with pytest.raises(ValueError, match='needs flip_indices'):
        Albumentation(always('HorizontalFlip'))(item)


@pytest.mark.parametrize('shape', [(48, 48), (48, 48, 3)], ids=['grey', 'colour'])
def test_a_face_without_keypoints_may_change_its_size(shape):
    face = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    transforms = [*always('HorizontalFlip'), *always('Crop', x_max=44, y_max=40)]
    done = Albumentation(transforms)({'img': face, 'img_shape': (48, 48)})
    np.testing.assert_array_equal(done['img'], face[:40, ::-1][:, :44])
    assert done['img_shape'] == (40, 44)


@pytest.mark.parametrize(('bgr', 'red'), [(True, 2), (False, 0)])
def test_albumentations_sees_the_channels_in_its_order(bgr, red):
    shift = always(
        'RGBShift', r_shift_limit=(9, 9), g_shift_limit=(0, 0), b_shift_limit=(0, 0)
    )
    done = Albumentation(shift, bgr=bgr)({'img': np.zeros((4, 4, 3), np.uint8)})
    expected = np.zeros(3)
    expected[red] = 9
    np.testing.assert_array_equal(done['img'][0, 0], expected)


def test_numpys_seed_decides_in_copies_for_workers_too():
    noise = Albumentation([*always('GaussNoise'), *FLIPS])
    copies = noise, copy.deepcopy(noise), pickle.loads(pickle.dumps(noise)), noise
    images = []
    for seed, each in zip((1, 1, 1, 2), copies, strict=True):
        np.random.seed(seed)
        images.append([each(crop())['img'] for _ in range(2)])
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[3])
    assert not np.array_equal(images[0][0], images[0][1])


@pytest.mark.parametrize('nested', [False, True])
def test_transforms_decide_independently(nested):
    """One seed for each of them would flip both ways or not at all."""
    np.random.seed(0)
    inner = [{'type': 'Sequential', 'transforms': FLIPS, 'p': 1.0}]
    transform = Albumentation(inner if nested else FLIPS)
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    corners = [transform({'img': image})['img'][0, 0] for _ in range(100)]
    assert min(np.bincount(corners, minlength=4)) > 10
