# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hook that draws predicted poses beside the ground truth."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.structures import PoseDataSample

from hpml_mm.engine.trackers import prepare_trackers, trained_iters
from hpml_mm.evaluation.oks import check_annotated
from hpml_mm.registry import HOOKS
from hpml_mm.visualization.pose_case import (
    PoseCase,
    WorstCases,
    heatmaps_given,
    read_cases,
)
from hpml_mm.visualization.pose_sheet import ALL_KEYPOINTS, draw_pose_sheet

#: Width and height of a picture in pixels.
SIDE = 256


@HOOKS.register_module()
class PoseSheetHook(Hook):
    """Draws the truth, the prediction and its heatmaps during validation.

    Two sheets go to the visualizer, which TensorBoard shows under Images:
    ``pose_fixed`` with objects that are always the same, evenly spaced over the
    validation, and ``pose_worst`` with those of the lowest OKS. MMPose's own
    ``PoseVisualizationHook`` shows another image each time, without the truth.

    The predictions are those of the validation itself, with its averaged weights and
    its precision. Those of the drawn objects are kept, with their heatmaps, and the
    images are read again at the end; training is not touched. A sheet of four rows
    takes about .2 s and 1 MB in each backend: give long trainings an ``interval``.

    Of several processes the first one draws, from its own share of the data.

    Args:
        num: Rows of a sheet.
        interval: Draw after every so many epochs of training; the last epoch is
            always drawn.
        heatmaps: True to lay the heatmaps over the images, as their maximum over
            the keypoints.

    Raises:
        ValueError: If ``num`` or ``interval`` is below 1, if the model is not a
            top-down one of MMPose, or if the data has no annotations to compare with.
    """

    def __init__(self, num: int = 4, interval: int = 1, heatmaps: bool = True) -> None:
        if num < 1 or interval < 1:
            raise ValueError(
                'PoseSheetHook: num and interval must be at least 1, got '
                f'num={num} and interval={interval}'
            )
        self.num = num
        self.interval = interval
        self.heatmaps = heatmaps
        self._drawing = False
        self._model_changes = ExitStack()
        self._fixed: list[PoseCase] = []
        self._worst = WorstCases(num)
        self._wanted = np.zeros(0, int)

    def before_run(self, runner: Runner) -> None:
        """Prepare the run's trackers for pictures."""
        prepare_trackers(runner)

    def before_train(self, runner: Runner) -> None:
        """Refuse unsuitable data or models before the first epoch."""
        if runner.val_loop is None:
            return
        dataset = runner.val_loop.dataloader.dataset
        if not hasattr(dataset, 'get_data_info'):
            raise ValueError(
                'PoseSheetHook needs a data set of MMPose for validation, and this one '
                f'is a {type(dataset).__name__}: remove the hook'
            )
        check_annotated([dataset.get_data_info(0)], type(self).__name__)
        if self.heatmaps:
            with heatmaps_given(runner.model):
                pass

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin to collect, if this epoch is to be drawn.

        A validation on its own (``runner.val()``) is always drawn.
        """
        is_last = runner.epoch >= (runner.max_epochs or 0)
        due = runner.epoch % self.interval == 0 or is_last
        self._drawing = due and is_main_process()
        if not self._drawing:
            return
        self._fixed, self._worst = [], WorstCases(self.num)
        self._wanted = objects_per_batch(self.num, len(runner.val_dataloader))
        if self.heatmaps:
            self._model_changes.enter_context(heatmaps_given(runner.model))

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[PoseDataSample] | None = None,
    ) -> None:
        """Keep the cases of a batch that may be drawn."""
        if not self._drawing or outputs is None:
            return
        sigmas = runner.val_dataloader.dataset.metainfo['sigmas']
        cases = read_cases(outputs, sigmas)
        self._fixed += [case.to_keep() for case in cases[: self._wanted[batch_idx]]]
        for case in cases:
            self._worst.offer(case)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw."""
        if not self._drawing:
            return
        self._model_changes.close()
        self._drawing = False
        meta = runner.val_dataloader.dataset.metainfo
        shown = ALL_KEYPOINTS if self.heatmaps else None
        for tag, cases in (
            ('pose_fixed', self._fixed),
            ('pose_worst', self._worst.kept),
        ):
            if cases:
                rows = [[case] for case in cases]
                sheet = draw_pose_sheet(rows, meta, ['prediction'], shown, SIDE)
                runner.visualizer.add_image(tag, sheet, step=trained_iters(runner))
        self._fixed, self._worst = [], WorstCases(self.num)


def objects_per_batch(num: int, batches: int) -> np.ndarray:
    """Number of objects to take of each batch, so that ``num`` are evenly spaced.

    Returns:
        Counts of shape (batches,) whose sum is ``num``.
    """
    chosen = np.linspace(0, batches - 1, num).round().astype(int)
    return np.bincount(chosen, minlength=batches)
