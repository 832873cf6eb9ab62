# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import uuid
from io import BytesIO

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from pose_spots import spot_loader, spot_model, write_spots
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from two_ranks import on_two_ranks

from hpml_mm.visualization.hooks import PoseSheetHook
from hpml_mm.visualization.hooks.pose_sheet_hook import SIDE, objects_per_batch
from hpml_mm.visualization.pose_case import heatmaps_given, read_cases
from hpml_mm.visualization.pose_sheet import draw_pose_sheet

# Pixels between the truth and what the model finds; objects 103 and 106 are the worst.
OFFSETS = [0, 2, 1, 9, 0, 3, 6, 1]


class Watch(Hook):
    """What the training and the validation get from the model."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(dict(runner.model.test_cfg))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append('pred_fields' in outputs[0])


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_spots(tmp_path_factory.mktemp('spots'), OFFSETS)


def build_runner(work_dir, root, hooks=(), **overrides):
    settings = {
        'model': spot_model(),
        'work_dir': str(work_dir),
        'train_dataloader': spot_loader(root),
        'val_dataloader': spot_loader(root),
        'train_cfg': {'by_epoch': True, 'max_epochs': 3},
        'val_cfg': {},
        'val_evaluator': {'type': 'hpml_mm.KeypointPCK'},
        # A rate of 0: the model is the same after every epoch.
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.0}},
        'default_hooks': {'checkpoint': None},
        'custom_hooks': list(hooks),
        'visualizer': {
            'type': 'PoseLocalVisualizer',
            'vis_backends': [
                {'type': 'LocalVisBackend'},
                {'type': 'TensorboardVisBackend'},
            ],
        },
        'experiment_name': uuid.uuid4().hex,
        'default_scope': 'mmpose',
    }
    return Runner(**{**settings, 'cfg': Config(), **overrides})


def pictures(work_dir):
    """What TensorBoard's own reader finds: images by tag and step."""
    (events,) = work_dir.rglob('events.out.tfevents*')
    accumulator = EventAccumulator(str(events), size_guidance={'images': 0})
    accumulator.Reload()
    return {
        tag: {
            event.step: np.array(Image.open(BytesIO(event.encoded_image_string)))
            for event in accumulator.Images(tag)
        }
        for tag in accumulator.Tags()['images']
    }


def saved(work_dir, name):
    """Picture that MMEngine's local backend has saved of a validation alone."""
    (path,) = work_dir.glob(f'*/vis_data/vis_image/{name}_0.png')
    return np.array(Image.open(path))


def expected_sheet(runner, numbers):
    """The sheet of some objects, predicted apart from the validation."""
    dataset = runner.val_dataloader.dataset
    with heatmaps_given(runner.model), torch.no_grad():
        predicted = runner.model.eval().test_step(
            pseudo_collate([dataset[number] for number in numbers])
        )
    meta = dataset.metainfo
    rows = [[case.to_keep()] for case in read_cases(predicted, meta['sigmas'])]
    return draw_pose_sheet(rows, meta, ['prediction'], side=SIDE)


@pytest.mark.slow
def test_training_shows_fixed_and_worst_objects_in_tensorboard(tmp_path, root):
    watch = Watch()
    hook = {'type': 'hpml_mm.PoseSheetHook', 'num': 2, 'interval': 2}
    runner = build_runner(tmp_path / 'run', root, [hook, watch])
    runner.train()
    found = pictures(tmp_path / 'run')
    # Every second epoch of three iterations, and the last one.
    assert {tag: list(steps) for tag, steps in found.items()} == {
        'pictures/by_keypoint': [3, 6, 9],
        'pictures/pose_fixed': [6, 9],
        'pictures/pose_worst': [6, 9],
    }
    worst = expected_sheet(runner, [3, 6])
    np.testing.assert_array_equal(found['pictures/pose_worst'][6], worst)
    np.testing.assert_array_equal(found['pictures/pose_worst'][9], worst)
    assert (worst != expected_sheet(runner, [6, 3])).any()
    # The first one of the first and of the last of three batches.
    np.testing.assert_array_equal(
        found['pictures/pose_fixed'][9], expected_sheet(runner, [0, 6])
    )
    assert len(list((tmp_path / 'run').rglob('vis_image/pose_*.png'))) == 4
    # The model gives heatmaps in drawn validations alone: three batches of training,
    # whose test_cfg is empty, and three of validation.
    epoch = [{}] * 3
    assert watch.seen == [
        *(epoch + [False] * 3),
        *(epoch + [True] * 3),
        *(epoch + [True] * 3),
    ]


@pytest.mark.slow
def test_without_heatmaps_a_sheet_has_two_columns(tmp_path, root):
    hook = {'type': 'hpml_mm.PoseSheetHook', 'num': 3, 'heatmaps': False}
    build_runner(tmp_path / 'run', root, [hook]).val()
    wide = expected_sheet(build_runner(tmp_path / 'b', root), [0]).shape[1]
    narrow = saved(tmp_path / 'run', 'pose_fixed').shape[1]
    assert 2 * (wide - 6) == 3 * (narrow - 6)


@pytest.mark.parametrize('num', [1, 4, 7])
def test_fixed_objects_are_spread_over_the_batches(num):
    counts = objects_per_batch(num, batches=5)
    assert counts.shape == (5,)
    assert counts.sum() == num
    assert counts.max() - counts[1:-1].min() <= 1


@pytest.mark.slow
def test_boxes_without_truth_stop_the_training_before_it_starts(tmp_path, root):
    (root / 'boxes.json').write_text(
        '[{"image_id": 0, "category_id": 1, "bbox": [6, 10, 44, 44], "score": 0.9}]'
    )
    loader = spot_loader(root)
    loader['dataset']['bbox_file'] = str(root / 'boxes.json')
    hook = {'type': 'hpml_mm.PoseSheetHook'}
    runner = build_runner(tmp_path / 'run', root, [hook], val_dataloader=loader)
    with pytest.raises(ValueError, match='PoseSheetHook: sample 0 of .*0.png has no'):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('wrong', [{'num': 0}, {'interval': 0}])
def test_impossible_settings_are_named(wrong):
    with pytest.raises(ValueError, match='must be at least 1, got num='):
        PoseSheetHook(**wrong)


def _validate_on_one_of_two(rank, folder):
    hook = {'type': 'hpml_mm.PoseSheetHook', 'num': 2}
    evaluator = {'type': 'hpml_mm.KeypointPCK'}
    runner = build_runner(
        folder / 'run', folder / 'data', [hook], val_evaluator=evaluator
    )
    runner.val()
    if rank == 0:
        found = saved(folder / 'run', 'pose_worst')
        # Its share are the even objects.
        expected = expected_sheet(runner, [6, 2])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_of_two_processes_the_first_draws_its_share(tmp_path):
    write_spots(tmp_path / 'data', OFFSETS)
    on_two_ranks(_validate_on_one_of_two, tmp_path)
