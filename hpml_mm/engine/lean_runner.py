# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A runner that calls only the hooks that have something to do."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from hpml_mm.registry import RUNNERS


@RUNNERS.register_module()
class LeanRunner(Runner):
    """MMEngine's runner, which passes by hooks that do not override a stage.

    MMEngine's calls every hook at every stage, the empty methods of the base class
    too. Order and arguments are the same here. Which hooks act in a stage is looked
    up when it is first called, and again after hooks were added or removed.

    Chosen by ``runner_type='hpml_mm.LeanRunner'``.
    """

    _acting: dict[str, list[Hook]]
    _acting_of: list[Hook] | None = None

    @property
    def iter(self) -> int:
        """Current iteration; hooks ask for it several times in each."""
        loop = self._train_loop
        return loop.iter if isinstance(loop, BaseLoop) else super().iter

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a stage of all hooks that have one of their own.

        Args:
            fn_name: The stage, such as ``'before_train_iter'``, or a method that
                only some hooks know.
            kwargs: What the hooks get besides the runner.
        """
        if self._hooks != self._acting_of:
            self._acting, self._acting_of = {}, list(self._hooks)
        if fn_name not in self._acting:
            self._acting[fn_name] = [h for h in self._hooks if acts_in(h, fn_name)]
        for hook in self._acting[fn_name]:
            try:
                getattr(hook, fn_name)(self, **kwargs)
            except TypeError as error:
                raise TypeError(f'{error} in {hook}') from None


def acts_in(hook: Hook, stage: str) -> bool:
    """Whether a hook does anything in a stage, or has a method of that name."""
    if stage not in Hook.stages:
        return hasattr(hook, stage)
    return stage in vars(hook) or stage in hook.get_triggered_stages()
