# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Workarounds for faults of MMPose and OpenVINO."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any


def let_mmpose_read_bfloat16() -> None:
    """Make MMPose's ``to_numpy`` take bfloat16, a dtype that NumPy lacks.

    Every heatmap head turns its outputs into arrays, in training to report the
    accuracy of the batch, so under bf16 autocast the first step of any of them fails
    with ``Got unsupported ScalarType BFloat16``. The values become float32, exactly.

    Does nothing while MMPose is not imported; call it once the model is built. May be
    called any number of times.
    """
    utils = sys.modules.get('mmpose.utils.tensor_utils')
    if utils is None or hasattr(utils.to_numpy, '__wrapped__'):
        return
    import torch

    original = utils.to_numpy

    @wraps(original)
    def to_numpy(x: Any, *args, **kwargs) -> Any:
        # For a sequence, the original calls this function for each of its items.
        if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16:
            x = x.float()
        return original(x, *args, **kwargs)

    # Modules import the function by name, so each holds a reference of its own.
    for name, module in list(sys.modules.items()):
        if name.startswith('mmpose.') and vars(module).get('to_numpy') is original:
            vars(module)['to_numpy'] = to_numpy


class SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's ``sigaltstack``."""

    _fields_ = (
        ('pointer', ctypes.c_void_p),
        ('flags', ctypes.c_int),
        ('size', ctypes.c_size_t),
    )


def signal_stack() -> SignalStack:
    """Read the signal stack of this thread, on Linux."""
    found = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Restore this thread's signal stack on exit, on Linux.

    Each CPU plugin that OpenVINO loads replaces it by one of its own, and gives that
    back to the system when it goes. If two plugins do not go in the reverse order of
    their coming, the thread is left with memory that is no longer mapped. Python's
    handlers run on that stack, so the next child that ends (SIGCHLD) kills the process
    without a word. Seen with OpenVINO 2026.4.
    """
    if not sys.platform.startswith('linux'):
        yield
        return
    before = signal_stack()
    try:
        yield
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)
