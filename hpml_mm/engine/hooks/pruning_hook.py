# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Report of each validation to a search, which may end the training."""

from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import IterBasedTrainLoop, Runner

from hpml_mm.engine.screen.quiet import ON_SCREEN
from hpml_mm.registry import HOOKS
from hpml_mm.utils.studies import load_optuna, make_pruner, open_storage

from .loop_hook import LoopHook


@HOOKS.register_module()
class PruningHook(LoopHook):
    """Reports a metric to a study of Optuna after each validation.

    A training that the study's pruner thinks poor ends there, with the status
    ``pruned`` in its summary. ``hpml search`` adds this hook to its trials.

    Args:
        storage: Storage of the study, see :func:`hpml_mm.utils.studies.open_storage`.
        study: Name of the study.
        trial: Number of the trial in it.
        metric: Metric that counts.
        pruner: One of :data:`hpml_mm.utils.studies.PRUNERS`; ``'none'`` reports only.

    Raises:
        ValueError: A validation lacks the metric.
    """

    # After MonitoredMetricHook, which tells of missing metrics.
    priority = 'LOW'
    switched_on = ()

    def __init__(
        self,
        storage: str,
        study: str,
        trial: int,
        metric: str,
        pruner: str = 'none',
    ) -> None:
        self.storage, self.study, self.trial = storage, study, trial
        self.metric = metric
        self.pruner = pruner
        # Epoch or iteration of the validation after which the training was ended.
        self.pruned_at: int | None = None
        self._trial: Any = None

    def before_train(self, runner: Runner) -> None:
        """Open the study."""
        self.pruned_at = None
        if is_main_process():
            optuna = load_optuna()
            loop = runner.train_loop
            study = optuna.load_study(
                study_name=self.study,
                storage=open_storage(self.storage),
                pruner=make_pruner(
                    self.pruner,
                    loop.max_iters
                    if isinstance(loop, IterBasedTrainLoop)
                    else loop.max_epochs,
                ),
            )
            held = study.get_trials(deepcopy=False)[self.trial]
            self._trial = optuna.trial.Trial(study, held._trial_id)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Report the metric, and end the training if the pruner says so."""
        if not self.running or self.nested(runner):
            return
        value = (metrics or {}).get(self.metric)
        if value is None:
            raise ValueError(
                f'--metric is {self.metric!r}, and the validation gave '
                f'{", ".join(metrics or {}) or "nothing"}'
            )
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        step = runner.iter if by_iter else runner.epoch
        if self._told(float(value), step):
            self.pruned_at = step
            runner.train_loop.stop_training = True
            runner.logger.info(
                f'pruned after {step}: {self.metric} is {value:.4g}', extra=ON_SCREEN
            )

    def _told(self, value: float, step: int) -> bool:
        """Report a value; all processes get the answer of the first one."""
        answer = [False]
        if is_main_process():
            if step not in self._reported():
                self._trial.report(value, step)
            answer = [self._trial.should_prune()]
        broadcast_object_list(answer)
        return answer[0]

    def _reported(self) -> dict[int, float]:
        """Values that were reported before this process, for a resumed training."""
        study = self._trial.study
        held = study._storage.get_trial(self._trial._trial_id)
        return held.intermediate_values
