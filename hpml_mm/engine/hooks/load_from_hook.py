# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of ``load_from`` checkpoints, which may be those of the original HRNet."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from hpml_mm.engine.resume import check_resumable, forget_speeds
from hpml_mm.engine.weights import (
    check_pretrained,
    check_readable,
    check_start,
    weights_for,
)
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model


@HOOKS.register_module()
class LoadFromHook(Hook):
    """Has ``load_from`` take checkpoints of the original HRNet code.

    Their weights get MMPose's names; the log lists which were taken, missing, left
    over or of another shape. A checkpoint of another network is an
    error, in ``load_from`` and in an ``init_cfg``: MMEngine would only warn, and train
    from nothing.

    ``tools/train.py`` and ``tools/test.py`` add this hook to every run. A run that is
    resumed loads its own checkpoint, as it is.
    """

    # The averaged model of an EMAHook loads the same checkpoint after it.
    priority = 'VERY_HIGH'
    switched_on = ()

    def before_run(self, runner: Runner) -> None:
        """Check the file, which may be truncated.

        Raises:
            ValueError: If it cannot be read as a checkpoint.
        """
        if runner._load_from:
            check_readable(str(runner._load_from))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rename the weights in the checkpoint.

        Raises:
            ValueError: If the checkpoint is one of another model, or holds nothing to
                resume.
        """
        source = str(runner._load_from or 'the checkpoint')
        if runner._resume:  # the runner has no public attribute
            check_resumable(checkpoint, source)
            forget_speeds(checkpoint)
            return
        model = bare_model(runner.model)
        state, report = weights_for(model, checkpoint, source)
        if report is None:
            check_start(source, state, model.state_dict())
            return
        checkpoint.clear()
        checkpoint['state_dict'] = state
        runner.logger.info(f'{source} is {report.text()}')

    def before_train(self, runner: Runner) -> None:
        """Check that each ``Pretrained`` ``init_cfg`` has loaded weights.

        Raises:
            ValueError: If one is of another model.
        """
        if not runner._resume:
            check_pretrained(bare_model(runner.model))
