# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Patches of one object's method, never of its class."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

_MISSING = object()


class _Patched:
    """Stand-in for a bound method that calls listeners before and after it."""

    def __init__(self, method: Callable) -> None:
        self.method = method
        self.listeners: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for before, after in tuple(self.listeners):
                before()
                stack.callback(after)
            return self.method(*args, **kwargs)


def patch(
    target: object, name: str, before: Callable[[], None], after: Callable[[], None]
) -> Callable[[], None]:
    """Call ``before`` and ``after`` around every call of ``target.name``.

    Several callers may patch the same method and undo in any order: they share one
    stand-in, which goes when its last listener does.

    Args:
        target: The object whose method is patched.
        name: The method's name.
        before: Called before the method.
        after: Called after the method, whatever it did.

    Returns:
        A function that undoes this; calling it again does nothing.
    """
    previous = vars(target).get(name, _MISSING)
    if isinstance(previous, _Patched):
        patched = previous
    else:
        patched = _Patched(getattr(target, name))
        setattr(target, name, patched)
    listener = (before, after)
    patched.listeners.append(listener)

    def undo() -> None:
        if listener in patched.listeners:
            patched.listeners.remove(listener)
        # Somebody else may have wrapped ours: it then stays, as a pass-through.
        if patched.listeners or vars(target).get(name) is not patched:
            return
        delattr(target, name)
        if getattr(target, name, None) != patched.method:
            # It hid an attribute of the instance, not the class's own method.
            setattr(target, name, patched.method)

    return undo
