# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keep the stack that signals of this thread are handled on.

Each CPU plugin that OpenVINO loads replaces it by one of its own, and gives that back
to the system when it goes. If two plugins do not go in the reverse order of their
coming, the thread is left with memory that is no longer mapped. Python's handlers run
on that stack, so the next child that ends (SIGCHLD) kills the process without a word.
Seen with OpenVINO 2026.4.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's ``sigaltstack``."""

    _fields_ = (
        ('pointer', ctypes.c_void_p),
        ('flags', ctypes.c_int),
        ('size', ctypes.c_size_t),
    )


def signal_stack() -> SignalStack:
    """The present one of this thread, on Linux."""
    found = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Put this thread's signal stack back at the end. Other systems have no need."""
    if not sys.platform.startswith('linux'):
        yield
        return
    before = signal_stack()
    try:
        yield
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)
