# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMEngine's RuntimeInfoHook without a wait for the device in each iteration."""

from collections import defaultdict

import numpy as np
import torch
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner
from torch import Tensor

from hpml_mm.registry import HOOKS

# Scalars of a device that are kept at most: a run whose log nobody reads must not
# collect them for ever.
_MOST_WAITING = 4096


@HOOKS.register_module()
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """MMEngine's hook of the same name, without a wait in each iteration.

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
        """Keep the model's log values: numbers as they are, tensors on their device."""
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
        """Fetch the remaining values from the device."""
        self._scalars.fetch()
        super().after_train(runner)

    def _adopt(self, hub: MessageHub) -> None:
        for name, history in hub.log_scalars.items():
            if not isinstance(history, ScalarHistory):
                hub.log_scalars[name] = ScalarHistory(self._scalars, history)
        self._known = len(hub.log_scalars)


class DeviceScalars:
    """Scalars on devices, fetched together: one transfer for each device and dtype."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list, int, Tensor]] = []

    def add(self, values: list, scalar: Tensor) -> None:
        """Append a scalar to ``values``; :meth:`fetch` puts its number there.

        Args:
            values: A list of numbers, which gets a place for this one.
            scalar: A tensor with one element. It is copied on its device: a step
                replayed as a CUDA graph would overwrite it.
        """
        copied = scalar.detach().reshape(()).clone()
        self._waiting.append((values, len(values), copied))
        values.append(None)
        if len(self._waiting) >= _MOST_WAITING:
            self.fetch()

    def fetch(self) -> None:
        """Put every number in its place; waits for the device."""
        groups: dict[tuple, list] = defaultdict(list)
        for entry in self._waiting:
            groups[entry[2].device, entry[2].dtype].append(entry)
        self._waiting = []
        for entries in groups.values():
            numbers = torch.stack([scalar for *_, scalar in entries]).tolist()
            for (values, index, _), number in zip(entries, numbers, strict=True):
                values[index] = number


class ScalarHistory(HistoryBuffer):
    """Log history that is assembled when it is read.

    MMEngine's own copies all that it holds with each new value, and can take a
    tensor only as a number, for which it waits for the device. This one keeps both
    for later: whoever reads it, by whatever method, gets what MMEngine's would hold.
    A copy, such as in a checkpoint, is MMEngine's own class.

    Args:
        scalars: Where values on a device wait, together with those of other
            histories.
        before: The history to go on from.
    """

    def __init__(
        self, scalars: DeviceScalars, before: HistoryBuffer | None = None
    ) -> None:
        self._scalars = scalars
        self._values: list[float | None] = []
        self._counts: list[int] = []
        if before is None:
            super().__init__()
        else:
            super().__init__(*before.data, before.max_length)

    def update(self, log_val: float | Tensor, count: int = 1) -> None:
        """Append one value.

        Args:
            log_val: The value; a tensor has one element.
            count: Weight of the value in a mean.

        Raises:
            TypeError: If one of them is neither.
        """
        if not isinstance(count, int | float):
            raise TypeError(f'count must be a number, got {type(count)}')
        if isinstance(log_val, Tensor):
            self._scalars.add(self._values, log_val)
        elif isinstance(log_val, int | float):
            self._values.append(log_val)
        else:
            raise TypeError(f'log_val must be a number, got {type(log_val)}')
        self._counts.append(count)

    def current(self) -> np.generic:
        """Latest value; a float is returned without assembling the history."""
        if self._values and isinstance(self._values[-1], float):
            return np.float64(self._values[-1])
        return super().current()

    @property
    def _log_history(self) -> np.ndarray:
        self._merge()
        return self._merged_values

    @_log_history.setter
    def _log_history(self, values: np.ndarray) -> None:
        self._merged_values = values

    @property
    def _count_history(self) -> np.ndarray:
        self._merge()
        return self._merged_counts

    @_count_history.setter
    def _count_history(self, counts: np.ndarray) -> None:
        self._merged_counts = counts

    def _merge(self) -> None:
        if not self._values:
            return
        self._scalars.fetch()
        values, counts = np.array(self._values), np.array(self._counts)
        if self._merged_values.size:  # an empty array would make floats of integers
            values = np.append(self._merged_values, values)
            counts = np.append(self._merged_counts, counts)
        self._merged_values = values[-self.max_length :]
        self._merged_counts = counts[-self.max_length :]
        self._values.clear()
        self._counts.clear()

    def __reduce__(self) -> tuple:
        # Read by who has no hpml_mm, too.
        return HistoryBuffer, (*self.data, self.max_length)
