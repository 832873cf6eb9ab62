# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample

from hpml_mm.datasets import LSPETDataset
from hpml_mm.evaluation.heatmap_pck import HeatmapPCK, mean_share, true_cells
from hpml_mm.evaluation.mean_pose import mean_pose_pck, poses_in_crops
from hpml_mm.registry import METRICS, TRANSFORMS

NAMES = ('ankle', 'knee', 'neck')
SIZE = 40, 40  # cells of two pixels: a tenth are 4, of which half are 2


def sample(number, truth, predicted, visible=(1, 1, 1)):
    """An image of 80 x 80, seen whole; true cells and the predicted ones."""
    heatmaps = torch.full((3, 40, 40), -1.0)
    for heatmap, (x, y) in zip(heatmaps, predicted, strict=True):
        heatmap[y, x] = -0.5  # the largest, if below 0
    made = PoseDataSample(
        metainfo={
            'id': number,
            'raw_ann_info': {},
            'input_center': np.array([40.0, 40.0]),
            'input_scale': np.array([80.0, 80.0]),
        }
    )
    made.gt_instances = InstanceData(
        keypoints=2.0 * np.array([truth]), keypoints_visible=np.array([visible])
    )
    made.pred_instances = InstanceData(keypoints=np.zeros((1, 3, 2)))
    made.pred_fields = PixelData(heatmaps=heatmaps)
    return made


def evaluate(samples, **options):
    evaluator = Evaluator(METRICS.build({'type': 'hpml_mm.HeatmapPCK', **options}))
    evaluator.dataset_meta = {'keypoint_id2name': dict(enumerate(NAMES))}
    for each in samples:
        evaluator.process(data_samples=[each])
    return evaluator.evaluate(len(samples))


def test_shares_worked_by_hand():
    places = [(10, 10), (20, 20), (30, 5)]
    samples = [
        # Off by one cell both ways, by exactly two, and not at all.
        sample(1, places, [(11, 11), (20, 22), (30, 5)]),
        # One of the two that are annotated.
        sample(2, places, [(10, 10), (0, 0), (39, 39)], visible=[1, 0, 1]),
        # The only one that is in the crop: not found.
        sample(3, [(10, 10), (20, 40), (-1, 5)], [(12, 12), (20, 39), (0, 5)]),
        # Nothing to find.
        sample(4, places, places, visible=[0, 0, 0]),
    ]
    assert evaluate(samples) == pytest.approx(
        {
            'heatmap/PCK': (2 / 3 + 1 / 2 + 0) / 3,
            'heatmap/PCK/ankle': 2 / 3,
            'heatmap/PCK/knee': 0,
            'heatmap/PCK/neck': 1 / 2,
        }
    )
    wider = evaluate(samples, threshold=0.51)
    assert wider['heatmap/PCK/knee'] == 1
    chosen = evaluate(samples, keypoints=['knee', 'neck'])
    assert chosen['heatmap/PCK'] == pytest.approx((1 / 2 + 0) / 2)
    assert chosen['heatmap/PCK/ankle'] == pytest.approx(2 / 3)
    assert evaluate(samples[3:]) == {}


def test_the_height_of_a_heatmap_counts():
    # 40 x 20 cells: half a tenth of the height is one cell.
    made = sample(1, [(10, 5)] * 3, [(10, 5)] * 3)
    seen = {'input_scale': [80.0, 40.0], 'input_center': [40.0, 20.0]}
    made.set_metainfo({key: np.array(value) for key, value in seen.items()})
    made.pred_fields = PixelData(heatmaps=torch.zeros(3, 20, 40))
    for heatmap, x in zip(made.pred_fields.heatmaps, (10, 11, 12), strict=True):
        heatmap[5, x] = 1
    found = evaluate([made])
    assert [found[f'heatmap/PCK/{name}'] for name in NAMES] == [1, 0, 0]


def test_what_cannot_be_measured_is_named():
    places = [(1, 1)] * 3
    without = sample(1, places, places)
    del without.pred_fields
    with pytest.raises(ValueError, match=r'set model\.test_cfg\.output_heatmaps=True'):
        evaluate([without])
    detected = sample(1, places, places)
    detected.pop('raw_ann_info')
    with pytest.raises(ValueError, match='has no annotation to compare with'):
        evaluate([detected])
    with pytest.raises(ValueError, match="no keypoint 'nose' of these: ankle, knee"):
        evaluate([sample(1, places, places)], keypoints=['knee', 'nose'])
    with pytest.raises(ValueError, match='threshold is 0; it is above 0'):
        HeatmapPCK(threshold=0)


def test_cells_are_the_peaks_of_mmposes_targets():
    rng = np.random.default_rng(0)
    info = LSPETDataset(lazy_init=True).metainfo
    codec = {'type': 'MSRAHeatmap', 'input_size': (64, 96), 'heatmap_size': (16, 24)}
    steps = [
        {'type': 'GetBBoxCenterScale'},
        {'type': 'TopdownAffine', 'input_size': (64, 96)},
        {'type': 'GenerateTarget', 'encoder': codec | {'sigma': 1}},
    ]
    with TRANSFORMS.switch_scope_and_registry('mmpose'):
        pipeline = Compose(steps)
    for _ in range(5):
        x, y, w, h = rng.uniform((5, 5, 30, 30), (40, 40, 80, 90))
        made = {
            'img': np.zeros((150, 150, 3), np.uint8),
            'bbox': np.array([[x, y, x + w, y + h]], np.float32),
            'keypoints': rng.uniform((x, y), (x + w, y + h), (1, 14, 2)),
            'keypoints_visible': rng.integers(0, 2, (1, 14)).astype(np.float32),
            'dataset_keypoint_weights': info['dataset_keypoint_weights'],
        }
        heatmaps = pipeline(made)['heatmaps']
        cells = true_cells(
            made['keypoints'][0],
            made['keypoints_visible'][0],
            made['input_center'],
            made['input_scale'],
            (16, 24),
        )
        seen = made['keypoints_visible'][0] > 0
        assert (np.isfinite(cells).all(axis=1) == seen).all()
        for place, heatmap in zip(cells[seen], heatmaps[seen], strict=True):
            row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
            assert (column, row) == tuple(place)


def test_the_mean_of_means_leaves_out_what_is_not_counted():
    assert mean_share(np.array([[1, 0, -1], [1, -1, -1], [-1, -1, -1]])) == 0.75
    assert mean_share(np.array([[-1, -1]])) is None


def test_the_mean_pose_worked_by_hand():
    nan = np.nan
    training = np.array(
        [[[10, 10], [4, 4], [nan, nan]], [[13, 14], [nan, nan], [nan, nan]]]
    )
    # Its mean is (11.5, 12), (4, 4), and the middle, (20, 20).
    poses = np.array([[[12, 13], [4, 6], [20, 20]], [[12, 14], [nan, nan], [19, 21]]])
    assert mean_pose_pck(training, poses, SIZE) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert mean_pose_pck(training, poses * nan, SIZE) is None


@pytest.mark.real_data
def test_the_mean_pose_of_real_persons(real_data):
    """About .056 of the joints of 200 images: many stand on their hands."""
    shares = []
    for seed in (0, 1, 2):
        train, val = (
            poses_in_crops(
                LSPETDataset(
                    'lspet_train.json',
                    split=split,
                    seed=seed,
                    data_root=str(real_data / 'lspet'),
                    data_prefix={'img': 'images/'},
                ),
                (32, 32),
            )
            for split in ('train', 'val')
        )
        assert np.isfinite(train).all()
        shares.append(mean_pose_pck(train, val, (32, 32)))
    assert shares == pytest.approx([0.0604, 0.0539, 0.0511], abs=1e-4)
