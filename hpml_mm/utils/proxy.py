# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-in for another object."""

from typing import Any


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
