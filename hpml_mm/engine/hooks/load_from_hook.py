# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints of other code in ``load_from``, and none that gives nothing."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

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

    Their weights get MMPose's names; the log tells which were taken, missing, left
    over or of another shape. A checkpoint of another network is an
    error, in ``load_from`` and in an ``init_cfg``: MMEngine would only warn, and train
    from nothing.

    ``tools/train.py`` and ``tools/test.py`` add this hook to every run. A run that is
    resumed loads its own checkpoint, as it is.
    """

    # The averaged model of an EMAHook loads the same checkpoint after it.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Look at the file, which may have been cut off when it was fetched.

        Raises:
            ValueError: If it cannot be read as a checkpoint.
        """
        if runner._load_from:
            check_readable(str(runner._load_from))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rename the weights in the checkpoint.

        Raises:
            ValueError: If the checkpoint is one of another model.
        """
        if runner._resume:  # the runner tells it in no public way
            return
        source = str(runner._load_from or 'the checkpoint')
        model = bare_model(runner.model)
        state, report = weights_for(model, checkpoint, source)
        if report is None:
            check_start(source, state, model.state_dict())
            return
        checkpoint.clear()
        checkpoint['state_dict'] = state
        runner.logger.info(f'{source} is {report.text()}')

    def before_train(self, runner: Runner) -> None:
        """Look at what ``init_cfg`` has given the model.

        Raises:
            ValueError: If one is of another model.
        """
        if not runner._resume:
            check_pretrained(bare_model(runner.model))
