# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.utils.patch import Proxy


class Original:
    size = 3

    def double(self):
        return 2 * self.size


class Changed(Proxy):
    __slots__ = ('_added',)

    def __init__(self, proxied):
        super().__init__(proxied)
        object.__setattr__(self, '_added', 1)

    def double(self):
        return self._proxied.double() + self._added


def test_a_proxy_is_the_other_object_but_for_what_it_overrides():
    original = Original()
    proxy = Changed(original)
    assert isinstance(proxy, Original)
    assert isinstance(proxy, Changed)
    proxy.size = 5
    assert (original.size, proxy.size) == (5, 5)
    assert (original.double(), proxy.double()) == (10, 11)
    del proxy.size
    assert vars(original) == {}
    assert proxy
    with pytest.raises(AttributeError, match='added_later'):
        proxy.added_later  # noqa: B018
