# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import ctypes
import sys

import pytest

from hpml_mm.compat.workarounds import SignalStack, keep_signal_stack, signal_stack

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='signal stacks are put back on Linux'
)


def test_a_stack_that_was_replaced_is_put_back():
    def values():
        found = signal_stack()
        return found.pointer, found.flags, found.size

    before, size = values(), 65536
    memory = ctypes.create_string_buffer(size)
    other = SignalStack(ctypes.addressof(memory), 0, size)
    with keep_signal_stack():
        ctypes.CDLL(None).sigaltstack(ctypes.byref(other), None)
        assert values() == (ctypes.addressof(memory), 0, size)
    assert values() == before
