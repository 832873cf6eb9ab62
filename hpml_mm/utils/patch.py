# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run something before and after every call of one object's method."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

_MISSING = object()


class _Around:
    """Stand-in for a bound method; calls its listeners around each call."""

    def __init__(self, method: Callable) -> None:
        self.method = method
        self.listeners: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for before, after in tuple(self.listeners):
                before()
                stack.callback(after)
            return self.method(*args, **kwargs)


def around(
    target: object, name: str, before: Callable[[], None], after: Callable[[], None]
) -> Callable[[], None]:
    """Calls ``before`` and ``after`` around every call of ``target.name``.

    Only this instance is touched, never its class. Several callers may wrap the
    same method and undo in any order: they share one stand-in, which goes when
    its last listener does. ``after`` runs on errors too.

    Args:
        target: The object whose method is wrapped.
        name: The method's name.
        before: Called before the method.
        after: Called after the method, whatever it did.

    Returns:
        A function that undoes this; calling it again does nothing.
    """
    previous = vars(target).get(name, _MISSING)
    if not isinstance(previous, _Around):
        wrapper = _Around(getattr(target, name))
        setattr(target, name, wrapper)
    else:
        wrapper = previous
    listener = (before, after)
    wrapper.listeners.append(listener)

    def undo() -> None:
        if listener in wrapper.listeners:
            wrapper.listeners.remove(listener)
        # Somebody else may have wrapped ours: it then stays, as a pass-through.
        if wrapper.listeners or vars(target).get(name) is not wrapper:
            return
        delattr(target, name)
        if getattr(target, name, None) != wrapper.method:
            # It hid an attribute of the instance, not the class's own method.
            setattr(target, name, wrapper.method)

    return undo
