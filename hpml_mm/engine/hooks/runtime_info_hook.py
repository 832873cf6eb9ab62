# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import Tensor

from hpml_mm.engine.scalar_history import DeviceScalars, ScalarHistory
from hpml_mm.registry import HOOKS

DATA_BATCH = dict | tuple | list | None


@HOOKS.register_module()
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """MMEngine's RuntimeInfoHook, without a wait for the device in each iteration.

    MMEngine's reads every logged loss as a number at once, for which a GPU has to
    finish its work first, and copies the whole history of every scalar with each new
    value. Here the message hub gets histories that keep values on their device until
    somebody reads one; all that wait are then fetched together. Readers (the logger,
    a progress bar, early stopping, a checkpoint) find what they would find with
    MMEngine's hook, at any time.

    It takes the place of the default: ``default_hooks=dict(runtime_info=
    dict(type='hpml_mm.RuntimeInfoHook'))``.
    """

    def __init__(self) -> None:
        self._scalars = DeviceScalars()
        self._known = 0

    def before_train(self, runner: Runner) -> None:
        """Go on from the histories of a checkpoint."""
        super().before_train(runner)
        self._known = 0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Update iteration and learning rates."""
        hub = runner.message_hub
        if self._known != len(hub.log_scalars):  # another hook logs a new scalar
            self._adopt(hub)
        super().before_train_iter(runner, batch_idx, data_batch)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Keep what the model logs, numbers as numbers and tensors where they are."""
        hub = runner.message_hub
        for key, value in (outputs or {}).items():
            name = f'train/{key}'
            # On a CPU there is nothing to wait for.
            if not isinstance(value, Tensor) or value.device.type == 'cpu':
                hub.update_scalar(name, value)
                continue
            if value.numel() != 1:
                raise ValueError(
                    f'{name} has {value.numel()} elements, but a logged value must be '
                    'a scalar: reduce it in the model, or leave it out of the losses'
                )
            hub._set_resumed_keys(name, True)  # as update_scalar does
            history = hub.log_scalars.get(name)
            if not isinstance(history, ScalarHistory):
                history = ScalarHistory(self._scalars, history)
                hub.log_scalars[name] = history
            history.update(value)

    def after_train(self, runner: Runner) -> None:
        """Fetch what is left, so that nothing stays on the device."""
        self._scalars.fetch()
        super().after_train(runner)

    def _adopt(self, hub: MessageHub) -> None:
        for name, history in hub.log_scalars.items():
            if not isinstance(history, ScalarHistory):
                hub.log_scalars[name] = ScalarHistory(self._scalars, history)
        self._known = len(hub.log_scalars)
