# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One warp in place of MMPose's chain of transforms."""

import cv2
import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from mmengine.dataset import Compose
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    PhotometricDistortion,
    RandomBBoxTransform,
    RandomFlip,
    RandomHalfBody,
    TopdownAffine,
)
from pose_items import HEIGHT, WIDTH, assert_equal_but_image, both_ways, cat_item
from scipy import stats

from hpml_mm.datasets.transforms import FusedTopdownWarp

SIZE = (48, 64)
JITTER = {
    'scale_factor': (0.5, 1.5),
    'rotate_factor': 80,
    'rotate_prob': 0.6,
    'shift_factor': 0.15,
    'shift_prob': 0.3,
}
HALF_BODY = {'min_total_keypoints': 5, 'prob': 0.6}
PARTS = {
    'photometric': (PhotometricDistortion, {'hue_delta': 30}),
    'flip': (RandomFlip, {}),
    'half_body': (RandomHalfBody, HALF_BODY),
    'bbox_transform': (RandomBBoxTransform, JITTER),
}
RUNS = 60


def chain(size=SIZE, use_udp=False, **parts) -> tuple:
    """MMPose's chain with some parts, and ours."""
    built = {name: PARTS[name][0](**arguments) for name, arguments in parts.items()}
    photometric = [built.pop('photometric')] if 'photometric' in built else []
    steps = [
        *photometric,
        GetBBoxCenterScale(),
        *built.values(),
        TopdownAffine(size, use_udp=use_udp),
    ]
    return Compose(steps), FusedTopdownWarp(size, use_udp=use_udp, **parts)


def difference(one: dict, other: dict) -> np.ndarray:
    assert one['img'].shape == other['img'].shape
    assert one['img'].dtype == other['img'].dtype
    return np.abs(one['img'].astype(int) - other['img'])


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('size', [(64, 64), (48, 64), (64, 48)])
def test_without_augmentation_all_is_equal(cat_meta, size, use_udp):
    theirs, ours = chain(size, use_udp)
    for number in range(10):
        expected, found = both_ways(cat_item(cat_meta, number), theirs, ours, number)
        assert_equal_but_image(expected, found)
        assert np.array_equal(expected['img'], found['img'])
    # Without keypoints, as ``inference_topdown`` of MMPose makes it.
    item = cat_item(cat_meta)
    del item['keypoints'], item['keypoints_visible']
    expected, found = both_ways(item, theirs, ours, 0)
    assert_equal_but_image(expected, found)
    assert np.array_equal(expected['img'], found['img'])


@pytest.mark.parametrize('part', PARTS)
def test_each_augmentation_alone_does_as_mmpose_does(cat_meta, part):
    """From the same random state, and so with the same distribution."""
    theirs, ours = chain(**{part: PARTS[part][1]})
    plain = chain()[1]
    changed = worst = share = 0
    for seed in range(RUNS):
        item = cat_item(cat_meta, seed)
        expected, found = both_ways(item, theirs, ours, seed)
        assert_equal_but_image(expected, found)
        away = difference(expected, found)
        worst = max(worst, away.max())
        share += (away > 0).mean() / RUNS
        changed += not np.array_equal(plain(item)['img'], found['img'])
    assert changed > RUNS / 5
    assert worst <= (2 if part == 'photometric' else 1)
    assert share < (0.05 if part == 'photometric' else 1e-3)


@pytest.mark.parametrize('use_udp', [False, True])
def test_all_augmentations_together(cat_meta, use_udp):
    theirs, ours = chain(use_udp=use_udp, **{p: PARTS[p][1] for p in PARTS})
    worst, share = 0, 0
    for seed in range(RUNS):
        expected, found = both_ways(cat_item(cat_meta, seed), theirs, ours, seed)
        assert_equal_but_image(expected, found)
        away = difference(expected, found)
        worst, share = max(worst, away.max()), share + (away > 1).mean() / RUNS
    assert worst <= 2
    assert share < 2e-3


@pytest.mark.parametrize(
    'flip',
    [
        {'prob': 1.0},
        {'prob': 0.0},
        {'prob': 0.7, 'direction': 'vertical'},
        {'prob': 0.9, 'direction': ['horizontal', 'diagonal']},
        {'prob': [0.2, 0.5, 0.2], 'direction': ['diagonal', 'vertical', 'horizontal']},
    ],
)
def test_all_kinds_of_flips(cat_meta, flip):
    theirs, ours = chain(flip=flip)
    seen = set()
    for seed in range(40):
        expected, found = both_ways(cat_item(cat_meta, seed), theirs, ours, seed)
        assert_equal_but_image(expected, found)
        assert difference(expected, found).max() <= 1
        seen.add(found['flip_direction'])
    prob = flip['prob']
    certain = prob in (0.0, 1.0)
    wanted = flip.get('direction', 'horizontal')
    wanted = {wanted} if isinstance(wanted, str) else set(wanted)
    assert seen == ({None} if prob == 0 else wanted if certain else wanted | {None})


def test_a_flipped_dot_lies_at_its_keypoint(cat_meta):
    item = cat_item(cat_meta)
    item['img'] = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    item['keypoints'][0, 0] = 70, 50
    item['img'][47:54, 67:74] = 255
    ours = FusedTopdownWarp((96, 96), flip={'prob': 1.0}, bbox_transform=JITTER)
    for seed in range(20):
        np.random.seed(seed)
        found = ours({**item})
        light = found['img'][..., 0].astype(float)
        rows, columns = np.indices(light.shape)
        place = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
        left = cat_meta['flip_indices'][0]
        assert place == pytest.approx(found['transformed_keypoints'][0, left], abs=0.2)


def test_the_truncated_normal_is_scipys():
    ours = FusedTopdownWarp(
        SIZE,
        bbox_transform={
            'shift_factor': 1,
            'shift_prob': 1,
            'scale_factor': (-1, 1),
            'rotate_factor': 1,
            'rotate_prob': 1,
        },
    )
    drawn = []
    for seed in range(500):
        np.random.seed(seed)
        shift, factor, degrees = ours._draw_jitter()
        np.random.seed(seed)
        expected = stats.truncnorm.rvs(-1, 1, size=4)
        drawn += [*shift[0], factor, degrees]
        assert drawn[-4:] == pytest.approx(expected, abs=1e-6)
    # And not only SciPy's numbers, but those of the distribution it names.
    assert stats.kstest(drawn, stats.truncnorm(-1, 1).cdf).pvalue > 0.01


def test_a_box_that_leaves_the_image(cat_meta):
    theirs, ours = chain(bbox_transform={'shift_factor': 4.0, 'shift_prob': 1.0})
    black = 0
    for seed in range(30):
        expected, found = both_ways(cat_item(cat_meta, seed), theirs, ours, seed)
        assert_equal_but_image(expected, found)
        assert difference(expected, found).max() <= 1
        black += not found['img'].any()
    assert black > 5
    # A crop that reaches beyond the image fades to black as MMPose's does.
    theirs, ours = chain(flip={'prob': 1.0})
    item = cat_item(cat_meta)
    item['bbox'] = np.array([[-31.3, -17.7, WIDTH + 20.2, HEIGHT + 9.9]], np.float32)
    expected, found = both_ways(item, theirs, ours, 0)
    assert difference(expected, found).max() <= 1


def test_a_cached_image_is_not_changed(cat_meta):
    _, ours = chain(**{p: PARTS[p][1] for p in PARTS})
    item = cat_item(cat_meta)
    item['img'].flags.writeable = False
    before = item['img'].copy()
    for seed in range(20):
        np.random.seed(seed)
        after = ours({**item})
        assert after['img'].flags.writeable
        after['img'][:] = 0
    assert np.array_equal(item['img'], before)


def test_boxes_and_scales_that_are_there_are_taken(cat_meta):
    theirs, ours = chain()
    item = cat_item(cat_meta)
    item |= {
        'bbox_center': np.array([[70, 60]], np.float32),
        'bbox_scale': np.array([[50, 40]], np.float32),
    }
    with pytest.warns(UserWarning, match='existing "bbox_center"'):
        expected, found = both_ways(item, theirs, ours, 0)
    assert_equal_but_image(expected, found)


def test_parameters_can_be_held(cat_meta):
    """MMCV's way to give two images the same augmentation."""
    _, ours = chain(flip={}, bbox_transform=JITTER)
    with cache_random_params(ours):
        first, second = (ours(cat_item(cat_meta)) for _ in range(2))
    assert np.array_equal(first['img'], second['img'])
    assert not np.array_equal(ours(cat_item(cat_meta))['img'], first['img'])


def test_several_boxes_are_refused(cat_meta):
    item = cat_item(cat_meta)
    item['bbox'] = np.repeat(item['bbox'], 2, axis=0)
    with pytest.raises(ValueError, match=r"0\.jpg comes with 2 boxes.*'topdown'"):
        FusedTopdownWarp(SIZE)(item)


@pytest.mark.parametrize('size', [256, (256,), (256, 0), (25.6, 256), None])
def test_a_bad_size_is_named(size):
    with pytest.raises(ValueError, match='input_size=.* must be width and height'):
        FusedTopdownWarp(size)


@pytest.mark.parametrize(
    ('part', 'message'),
    [
        ({'bbox_transform': {'rotation': 3}}, "RandomBBoxTransform .*'rotation'"),
        ({'flip': {'direction': 'left'}}, r"RandomFlip .*\{'direction': 'left'\}"),
        ({'flip': {'prob': 1}}, 'RandomFlip .*must be float'),
    ],
)
def test_a_wrong_argument_of_a_part(part, message):
    with pytest.raises(ValueError, match=f'FusedTopdownWarp: {message}'):
        FusedTopdownWarp(SIZE, **part)


def test_four_channels_are_warped_as_three_are(cat_meta):
    """What the speed rests on; another OpenCV may break it."""
    image = cat_item(cat_meta)['img']
    matrix = cv2.getRotationMatrix2D((80, 60), 17, 1.3)
    three = cv2.warpAffine(image, matrix, SIZE)
    four = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), matrix, SIZE)
    assert np.array_equal(four[..., :3], three)
