# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base of hooks that act before and after a loop, also one that fails."""

from collections.abc import Callable
from functools import partial

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from hpml_mm.utils.patch import patch


class LoopHook(Hook):
    """Base of hooks that patch a runner's parts for as long as a loop runs.

    MMEngine calls no hook when a run fails. So the ``run`` of the loops is patched
    until the outermost of them ends, by an error or not; then everything that was
    patched by :meth:`patch` is as it was.
    """

    #: Loops whose start and end matter: ``train``, ``val``, ``test``.
    loops: tuple[str, ...] = ('train',)

    # Class attributes, so that a subclass need not call this class's constructor.
    _undo: tuple[Callable[[], None], ...] = ()
    _running = 0

    def before_run(self, runner: Runner) -> None:
        """Patch the loops that this run has built."""
        self._restore()
        for name in self.loops:
            # The property without underscore would build a loop not needed here.
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop):
                self.patch(
                    loop,
                    'run',
                    partial(self._enter, runner),
                    partial(self._leave, runner),
                )

    def loop_started(self, runner: Runner) -> None:
        """Run before the loop."""

    def loop_ended(self, runner: Runner) -> None:
        """Run after the loop, also after an error."""

    def patch(
        self,
        target: object,
        name: str,
        before: Callable[[], None],
        after: Callable[[], None],
    ) -> Callable[[], None]:
        """Patch a method until the outermost loop ends, see :func:`patch`."""
        undo = patch(target, name, before, after)
        self._undo += (undo,)
        return undo

    def on_end(self, undo: Callable[[], None]) -> None:
        """Register a callback for the end of the outermost loop."""
        self._undo += (undo,)

    def _enter(self, runner: Runner) -> None:
        self._running += 1
        try:
            self.loop_started(runner)
        except BaseException:  # then nobody calls _leave
            self._restore()
            raise

    def _leave(self, runner: Runner) -> None:
        self._running -= 1
        try:
            self.loop_ended(runner)
        finally:
            if self._running == 0:
                self._restore()

    def _restore(self) -> None:
        self._running = 0
        undo, self._undo = self._undo, ()
        for each in reversed(undo):
            each()
