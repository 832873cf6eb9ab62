# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base of hooks that act before and after a loop, also one that fails."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from hpml_mm.utils.patch import calls_running, patch


class LoopHook(Hook):
    """Base of hooks that patch a runner's parts for as long as a loop runs.

    MMEngine calls no hook when a run fails. So the ``run`` of the loops is patched
    until the outermost of them ends, by an error or not; then everything that was
    patched by :meth:`patch` is as it was.

    A hook may evaluate, test or train something of its own while the loop runs. What
    this runner's hooks are told of that is :meth:`nested`; any loop, of whatever
    runner, can be watched by :meth:`patch_other_loops`.
    """

    #: Loops whose start and end matter: ``train``, ``val``, ``test``.
    loops: tuple[str, ...] = ('train',)

    # Class attributes, so that a subclass need not call this class's constructor.
    _undo: tuple[Callable[[], None], ...] = ()
    _running = 0
    _outermost: BaseLoop | None = None
    _known: tuple[BaseLoop, ...] = ()

    def before_run(self, runner: Runner) -> None:
        """Patch the loops that this run has built.

        A hook that calls ``runner.test()`` in a training begins a run within a run:
        then only the loop built for it is new.
        """
        if not self.running:
            self._restore()
        for name in self.loops:
            # The property without underscore would build a loop not needed here.
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop) and loop not in self._known:
                self._known += (loop,)
                self.patch(
                    loop,
                    'run',
                    partial(self._enter, runner, loop),
                    partial(self._leave, runner),
                )

    def loop_started(self, runner: Runner) -> None:
        """Run before the loop."""

    def loop_ended(self, runner: Runner) -> None:
        """Run after the loop, also after an error."""

    @property
    def running(self) -> bool:
        """Return whether one of the loops is running."""
        return self._running > 0

    def nested(self, runner: Runner) -> bool:
        """Return whether another hook's work has led to this stage, not the loop's."""
        return calls_running(runner, 'call_hook') > 1

    def patch(
        self,
        target: object,
        name: str,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
        unless: object = None,
    ) -> Callable[[], None]:
        """Patch a method until the outermost loop ends, see :func:`patch`."""
        undo = patch(target, name, before, after, unless)
        self._undo += (undo,)
        return undo

    def patch_other_loops(
        self, before: Callable[[], None], after: Callable[[], None] | None = None
    ) -> None:
        """Patch every other loop of this process, and the methods that run one.

        The outermost loop is left out. With both, ``before`` and ``after`` may be
        called several times for one loop.
        """
        for name in ('train', 'val', 'test'):
            self.patch(Runner, name, before, after)
        for kind in _loop_classes(BaseLoop):
            self.patch(kind, 'run', before, after, unless=self._outermost)

    def on_end(self, undo: Callable[[], None]) -> None:
        """Register a callback for the end of the outermost loop."""
        self._undo += (undo,)

    def _enter(self, runner: Runner, loop: BaseLoop) -> None:
        self._running += 1
        try:
            if self._running == 1:
                self._outermost = loop
                self.patch(runner, 'call_hook')  # has its calls counted
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
        self._outermost, self._known = None, ()
        undo, self._undo = self._undo, ()
        for each in reversed(undo):
            each()


def _loop_classes(kind: Any) -> Iterator[type]:
    """Classes of loops, each that has a ``run`` of its own."""
    for subclass in kind.__subclasses__():
        if 'run' in vars(subclass):
            yield subclass
        yield from _loop_classes(subclass)
