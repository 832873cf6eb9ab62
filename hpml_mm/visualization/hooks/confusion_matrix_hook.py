# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hook that draws confusion matrices."""

from pathlib import Path

import mmcv
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hpml_mm.engine.tracker_names import tracker_name
from hpml_mm.engine.trackers import prepare_trackers, trained_iters
from hpml_mm.evaluation import FERMetric
from hpml_mm.registry import HOOKS
from hpml_mm.visualization.confusion import draw_confusion_matrix


@HOOKS.register_module()
class ConfusionMatrixHook(Hook):
    """Draws the confusion matrix of every split after an evaluation.

    The picture goes to the visualizer, which TensorBoard shows under Images as
    ``confusion/<split>`` (``confusion_test/<split>`` after a test run), and the
    newest one is kept as ``<work_dir>/confusion/<split>.png``. The matrix comes
    from the :class:`hpml_mm.FERMetric` among the evaluator's metrics.

    Args:
        interval: Draw after every so many epochs of training; the last epoch is
            always drawn. A picture takes about .2 s.

    Raises:
        ValueError: If ``interval`` is below 1, or if the evaluator has no
            ``hpml_mm.FERMetric``: then training or testing stops before it starts.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise ValueError(
                f'ConfusionMatrixHook: interval must be at least 1, got {interval}'
            )
        self.interval = interval

    def before_run(self, runner: Runner) -> None:
        """Prepare the run's trackers for pictures."""
        prepare_trackers(runner)

    def before_train(self, runner: Runner) -> None:
        """Look the metric up now, rather than fail after the first epoch."""
        if runner.val_loop is not None:
            _find_metric(runner.val_loop.evaluator)

    def before_test(self, runner: Runner) -> None:
        """Look the metric up now, rather than fail after the test."""
        _find_metric(runner.test_loop.evaluator)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw every ``interval`` epochs.

        A validation on its own (``runner.val()``) is always drawn.
        """
        epoch = runner.epoch
        is_last = epoch >= (runner.max_epochs or 0)
        if epoch % self.interval == 0 or is_last:
            metric = _find_metric(runner.val_loop.evaluator)
            self._show(runner, metric, 'confusion', epoch)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw."""
        metric = _find_metric(runner.test_loop.evaluator)
        self._show(runner, metric, 'confusion_test', runner.epoch)

    def _show(self, runner: Runner, metric: FERMetric, tag: str, epoch: int) -> None:
        for split, matrix in metric.confusion_matrices.items():
            title = f'{split}, epoch {epoch}' if epoch else split
            picture = draw_confusion_matrix(matrix, metric.classes, title)
            step = trained_iters(runner)
            runner.visualizer.add_image(f'{tag}/{split}', picture, step=step)
            # A split may have any name.
            path = Path(runner.work_dir, tag, f'{tracker_name(split)}.png')
            mmcv.imwrite(mmcv.rgb2bgr(picture), str(path))


def _find_metric(evaluator: Evaluator) -> FERMetric:
    for metric in evaluator.metrics:
        if isinstance(metric, FERMetric):
            return metric
    names = ', '.join(type(metric).__name__ for metric in evaluator.metrics)
    raise ValueError(
        'ConfusionMatrixHook needs a metric of type hpml_mm.FERMetric in the '
        f'evaluator, which holds: {names or "none"}; add one or remove the hook'
    )
