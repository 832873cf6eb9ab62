# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hook that draws confusion matrices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmpretrain.evaluation import AveragePrecision, MultiLabelMetric

from hpml_mm.engine.trackers import prepare_trackers, trained_iters
from hpml_mm.engine.trackers.names import tracker_name
from hpml_mm.evaluation import ConfusionCounter, FERMetric
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import dump_strict, write_atomic
from hpml_mm.visualization.confusion import draw_confusion_matrix


@HOOKS.register_module()
class ConfusionMatrixHook(Hook):
    """Draws the confusion matrix of every split after an evaluation.

    The picture goes to the visualizer, which TensorBoard shows under Images as
    ``confusion/<split>`` (``confusion_test/<split>`` after a test run), and the
    newest one is kept as ``<work_dir>/confusion/<split>.png``, with its counts in
    ``<split>.json``. A split is what samples say in ``split``, else ``all``.

    The hook counts by itself, so it works beside any metrics; where a
    :class:`hpml_mm.FERMetric` is among them its names of the splits are used. Samples
    that do not hold one true and one predicted class are told in a warning, and nothing
    is drawn.

    Args:
        interval: Draw after every so many epochs of training; the last epoch is
            always drawn. A training by iterations draws after each validation. A
            picture takes about .2 s.

    Raises:
        ValueError: If ``interval`` is below 1, or if a metric is of several classes a
            sample: then training or testing stops before it starts.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(
                f'ConfusionMatrixHook: interval must be at least 1, got {interval}'
            )
        self.interval = interval
        self._counter: ConfusionCounter | None = None
        self._warned = False

    def before_run(self, runner: Runner) -> None:
        """Prepare the run's trackers for pictures."""
        prepare_trackers(runner)

    def before_train(self, runner: Runner) -> None:
        """Refuse several classes a sample now, rather than after the first epoch."""
        if runner.val_loop is not None:
            _refuse_multi_label(runner.val_loop)

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin to count."""
        self._start(runner.val_loop)

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to count."""
        self._start(runner.test_loop)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Count the samples of a batch."""
        self._count(data_batch, outputs)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Count the samples of a batch."""
        self._count(data_batch, outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw every ``interval`` epochs.

        A validation on its own (``runner.val()``) is always drawn.
        """
        epoch = runner.epoch
        is_last = epoch >= (runner.max_epochs or 0)
        if isinstance(runner._train_loop, IterBasedTrainLoop):
            self._show(runner, runner.val_loop, 'confusion', 'iteration', runner.iter)
        elif epoch % self.interval == 0 or is_last:
            self._show(runner, runner.val_loop, 'confusion', 'epoch', epoch)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw."""
        step = runner.epoch
        self._show(runner, runner.test_loop, 'confusion_test', 'epoch', step)

    def _start(self, loop: BaseLoop) -> None:
        _refuse_multi_label(loop)
        self._counter = None
        if _fer_metric(loop) is None:
            meta = getattr(loop.dataloader.dataset, 'metainfo', None) or {}
            self._counter = ConfusionCounter(meta.get('classes') or ())

    def _count(self, data_batch: DATA_BATCH, outputs: Sequence[Any] | None) -> None:
        if self._counter is not None:
            self._counter.process(data_batch, outputs or ())

    def _show(
        self, runner: Runner, loop: BaseLoop, tag: str, unit: str, step: int
    ) -> None:
        matrices, classes = self._matrices(runner, loop)
        if not is_main_process():
            return
        for split, matrix in matrices.items():
            title = f'{split}, {unit} {step}' if step else split
            picture = draw_confusion_matrix(matrix, classes, title)
            iters = trained_iters(runner)
            runner.visualizer.add_image(f'{tag}/{split}', picture, step=iters)
            # A split may have any name.
            path = Path(runner.work_dir, tag, f'{tracker_name(split)}.png')
            # MMEngine's local backend does not make the tag's folder, so the
            # picture is written here.
            mmcv.imwrite(mmcv.rgb2bgr(picture), str(path))
            counts = {'split': split, 'labels': list(classes), 'counts': matrix}
            write_atomic(path.with_suffix('.json'), dump_strict(counts))

    def _matrices(
        self, runner: Runner, loop: BaseLoop
    ) -> tuple[dict[str, np.ndarray], Sequence[str]]:
        """Counts of each split, on the main process, and the classes' names."""
        metric, counter = _fer_metric(loop), self._counter
        if metric is not None:
            return metric.confusion_matrices, metric.classes
        if counter is None:
            return {}, ()
        # All processes bring their samples together.
        counter.evaluate(len(loop.dataloader.dataset))
        if counter.problem and not self._warned:
            self._warned = True
            runner.logger.warning(
                f'ConfusionMatrixHook draws nothing: {counter.problem}'
            )
        return counter.matrices, counter.names


def _metrics(loop: BaseLoop) -> Sequence[Any]:
    """Metrics of a loop; an evaluator of one's own may have none to look at."""
    return getattr(loop.evaluator, 'metrics', ())


def _fer_metric(loop: BaseLoop) -> FERMetric | None:
    return next((m for m in _metrics(loop) if isinstance(m, FERMetric)), None)


def _refuse_multi_label(loop: BaseLoop) -> None:
    for metric in _metrics(loop):
        if isinstance(metric, MultiLabelMetric | AveragePrecision):
            raise ValueError(
                f'ConfusionMatrixHook: {type(metric).__name__} is of several classes a '
                'sample, which have no confusion matrix: remove the hook, or evaluate '
                'one class a sample'
            )
