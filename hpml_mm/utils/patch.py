# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Patches of a method that go without a trace, and stand-ins for an object."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

_MISSING = object()
_Listener = tuple[Callable | None, Callable | None, object]


class _Patched:
    """Stand-in for a method that calls listeners before and after it.

    Args:
        target: The object or class that it is put into.
        name: The method's name.
    """

    def __init__(self, target: Any, name: str) -> None:
        self._target = target
        self._name = name
        # What an object hides of its class, or what a class itself defines.
        self.hidden = vars(target).get(name, _MISSING)
        self.listeners: list[_Listener] = []
        #: Those of them that do something; the others have calls counted.
        self.callers: tuple[_Listener, ...] = ()
        self.depth = 0

    def add(self, listener: _Listener) -> None:
        """Call a listener from the next call on."""
        self.listeners.append(listener)
        self._choose_callers()

    def remove(self, listener: _Listener) -> None:
        """Forget a listener, if it is there."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self._choose_callers()

    def _choose_callers(self) -> None:
        self.callers = tuple(
            one for one in self.listeners if one[0] is not None or one[1] is not None
        )

    @property
    def method(self) -> Callable:
        """Method that the target would have without this, looked up anew."""
        if self.hidden is not _MISSING:
            return self.hidden
        owner = self._target
        kind = type(owner)
        return getattr(kind, self._name).__get__(owner, kind)

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> tuple:
        # A copy of the target, also by pickle, has the method without listeners.
        return self.method.__reduce__()  # type: ignore[return-value]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Without an ExitStack: this is around each stage of hooks of each iteration.
        afters: list[Callable] = []
        self.depth += 1
        try:
            for before, after, unless in self.callers:
                if unless is not None and args and args[0] is unless:
                    continue
                if before is not None:
                    before()
                if after is not None:
                    afters.append(after)
            return self.method(*args, **kwargs)
        finally:
            self._end(afters)

    def _end(self, afters: list[Callable]) -> None:
        """Call what is left of ``afters``, the last first, whatever one of them did."""
        try:
            while afters:
                afters.pop()()
        finally:
            if afters:
                self._end(afters)
            else:
                self.depth -= 1


def patch(
    target: Any,
    name: str,
    before: Callable[[], None] | None = None,
    after: Callable[[], None] | None = None,
    unless: object = None,
) -> Callable[[], None]:
    """Call ``before`` and ``after`` around every call of ``target.name``.

    Several callers may patch the same method and undo in any order: they share one
    stand-in, which goes when its last listener does.

    Args:
        target: The object whose method is patched, or a class that defines it.
        name: The method's name.
        before: Called before the method.
        after: Called after the method, whatever it did.
        unless: With a class, the instance whose calls are left alone.

    Returns:
        A function that undoes this; calling it again does nothing.
    """
    previous = vars(target).get(name, _MISSING)
    if isinstance(previous, _Patched):
        patched = previous
    else:
        patched = _Patched(target, name)
        setattr(target, name, patched)
    listener = (before, after, unless)
    patched.add(listener)

    def undo() -> None:
        patched.remove(listener)
        # Somebody else may have wrapped ours: it then stays, as a pass-through.
        if patched.listeners or vars(target).get(name) is not patched:
            return
        if patched.hidden is _MISSING:
            delattr(target, name)
        else:
            setattr(target, name, patched.hidden)

    return undo


def calls_running(target: object, name: str) -> int:
    """Number of calls of a patched method that have not ended; 0 without a patch."""
    patched = vars(target).get(name)
    return patched.depth if isinstance(patched, _Patched) else 0


@contextmanager
def calls_uncounted(target: object, name: str) -> Iterator[None]:
    """Have :func:`calls_running` leave out the calls of a method that run now."""
    patched = vars(target).get(name)
    if not isinstance(patched, _Patched):
        yield
        return
    depth, patched.depth = patched.depth, 0
    try:
        yield
    finally:
        patched.depth = depth


class Proxy:
    """Stand-in that has another object's attributes and class.

    A subclass overrides what it changes; special methods such as ``__len__`` need to be
    passed on there. Attributes are set on the other object (a hook that switches a
    pipeline resets ``_iterator`` of the loader it sees), so that its own ones need
    ``__slots__`` and ``object.__setattr__``.

    Args:
        proxied: The other object.
    """

    __slots__ = ('_proxied',)

    def __init__(self, proxied: Any) -> None:
        object.__setattr__(self, '_proxied', proxied)

    @property  # type: ignore[misc]  # the class is the other object's
    def __class__(self) -> type:
        return type(self._proxied)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, '_proxied'), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._proxied, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._proxied, name)
