# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parts of MMPose that expect NumPy 1, each with and without its mend."""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.datasets.datasets import PanopticHand2DDataset, UBody3dDataset
from mmpose.datasets.datasets.wholebody3d import ubody3d_dataset
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer
from pose_spots import spot_loader, spot_model, write_spots

from hpml_mm.compat.mends.numpy2 import passes_for_a_number

needs_numpy_2_4 = pytest.mark.skipif(
    passes_for_a_number(), reason='this NumPy converts arrays of one element'
)


@pytest.fixture
def visualizer():
    visualizer = PoseLocalVisualizer(radius=2, kpt_color='red')
    visualizer.dataset_meta = {}
    return visualizer


def draw(visualizer: PoseLocalVisualizer, alpha: float = 1.0) -> np.ndarray:
    """Picture of one keypoint at (8, 6)."""
    visualizer.alpha = alpha
    person = InstanceData(
        keypoints=np.array([[[8.0, 6]]]), keypoints_visible=np.ones((1, 1))
    )
    sample = PoseDataSample(gt_instances=person)
    image = np.zeros((12, 16, 3), np.uint8)
    return visualizer.add_datasample('one', image, sample, draw_pred=False)


def test_keypoints_are_drawn(visualizer):
    red, green, blue = draw(visualizer).transpose(2, 0, 1)
    assert np.unique(red).tolist() == [0, 255]
    assert not green.any()
    assert not blue.any()
    rows, columns = np.nonzero(red)
    assert (rows.min(), rows.max()) == (4, 8)
    assert (columns.min(), columns.max()) == (6, 10)
    assert draw(visualizer, alpha=0.4).max() == 102


def test_a_radius_of_its_own(visualizer):
    visualizer.set_image(np.zeros((12, 16, 3), np.uint8))
    visualizer.draw_circles(np.array([8, 6]), 3, face_colors=(9, 0, 0), alpha=1.0)
    assert np.nonzero(visualizer.get_image()[..., 0])[0].min() == 3
    with pytest.raises(ValueError, match='size 1'):
        visualizer.draw_circles(np.array([8, 6]), np.ones(2), face_colors=(9, 0, 0))


@needs_numpy_2_4
def test_keypoints_without_the_mend(visualizer, monkeypatch):
    original = PoseLocalVisualizer.draw_circles.__wrapped__
    monkeypatch.setattr(PoseLocalVisualizer, 'draw_circles', original)
    with pytest.raises(TypeError, match='0-dimensional'):
        draw(visualizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('hook', 'drawn'),
    [
        (dict(type='PoseVisualizationHook'), '?_0.png'),
        (dict(type='BadCaseAnalysisHook', badcase_thr=-1), '?_bbox*.png'),
    ],
)
def test_hooks_that_draw(tmp_path, hook, drawn):
    data = write_spots(tmp_path / 'data', [0, 1, 2])
    runner = Runner(
        model=spot_model(),
        work_dir=str(tmp_path / 'work'),
        test_dataloader=spot_loader(data),
        test_cfg={},
        test_evaluator=dict(type='CocoMetric'),
        default_scope='mmpose',
        default_hooks=dict(badcase=hook | dict(enable=True, out_dir='drawn')),
        visualizer=dict(type='PoseLocalVisualizer', name=tmp_path.name),
        experiment_name=tmp_path.name,
    )
    runner.test()
    pictures = list(tmp_path.glob(f'work/*/drawn/{drawn}'))
    assert len(pictures) == 3
    # The spots are white, and what is drawn has colours.
    assert all(np.ptp(cv2.imread(str(path)), axis=2).any() for path in pictures)


def ubody(folder: Path) -> UBody3dDataset:
    """Data set of two frames of one video, made on the spot."""
    images = [
        dict(id=frame, file_name=f'talk/scene/{frame}.jpg', width=9, height=9)
        for frame in (1, 2)
    ]
    people = [
        dict(
            id=10 + image['id'], image_id=image['id'], category_id=1, iscrowd=0,
            keypoints=[[3.0, 4.0]] * 133, keypoints_3d=[[1.0, 2.0, 3.0]] * 133,
            keypoints_valid=[1.0] * 133, bbox=[1, 2, 3, 4],
            camera_param=dict(focal=[1.0, 1.0], princpt=[2.0, 2.0]),
        )
        for image in images
    ]  # fmt: skip
    content = dict(
        images=images, annotations=people, categories=[dict(id=1, name='person')]
    )
    (folder / 'ubody.json').write_text(json.dumps(content))
    return UBody3dDataset(
        ann_file='ubody.json', data_root=str(folder), seq_len=1, pipeline=[]
    )


def test_ubody3d_loads(tmp_path):
    data = ubody(tmp_path)
    assert len(data) == 2
    info = data.get_data_info(1)
    assert info['bbox_scores'].tolist() == [1]
    assert info['bbox_scores'].dtype == np.float32
    assert info['bbox'].tolist() == [[1, 2, 3, 4]]
    assert info['keypoints'].shape == (1, 133, 2)
    assert info['target_img_paths'] == [f'{tmp_path}/images/talk/scene/2.jpg']


@needs_numpy_2_4
def test_ubody3d_without_the_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(ubody3d_dataset, 'np', np)
    with pytest.raises(ValueError, match='setting an array element'):
        ubody(tmp_path)


def hands(folder: Path, **options) -> dict:
    """Record of one image with one hand of 21 keypoints, 20 of them labelled."""
    hand = dict(
        id=1, image_id=1, category_id=1, iscrowd=0, area=9.0, segmentation=[],
        bbox=[1, 1, 8, 8], head_size=5.0, keypoints=[2, 3, 1] * 20 + [0, 0, 0],
    )  # fmt: skip
    content = dict(
        images=[dict(id=1, file_name='1.jpg', width=20, height=20)],
        annotations=[hand],
        categories=[dict(id=1, name='hand')],
    )
    (folder / 'hands.json').write_text(json.dumps(content))
    data = PanopticHand2DDataset(
        ann_file='hands.json', data_root=str(folder), pipeline=[], **options
    )
    return data.get_data_info(0)


def test_keypoints_are_counted_by_plain_numbers(tmp_path):
    count = hands(tmp_path)['num_keypoints']
    assert (type(count), count) == (int, 20)
    (count,) = hands(tmp_path, data_mode='bottomup')['num_keypoints']
    assert (type(count), count) == (int, 20)


@pytest.mark.skipif(
    isinstance(np.count_nonzero([]), int), reason='this NumPy counts by plain numbers'
)
def test_counts_without_the_mend(tmp_path, monkeypatch):
    original = PanopticHand2DDataset.load_data_list.__wrapped__
    monkeypatch.setattr(PanopticHand2DDataset, 'load_data_list', original)
    assert isinstance(hands(tmp_path)['num_keypoints'], np.integer)
