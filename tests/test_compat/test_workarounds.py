# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import ctypes
import sys

import pytest
import torch

from hpml_mm.compat import keep_signal_stack, let_mmpose_read_bfloat16
from hpml_mm.compat.workarounds import SignalStack, signal_stack


@pytest.fixture
def mmpose_as_installed(monkeypatch):
    """MMPose's own function back where it was imported to, during and after a test."""
    from mmpose.models.heads.heatmap_heads import heatmap_head
    from mmpose.utils import tensor_utils

    original = getattr(tensor_utils.to_numpy, '__wrapped__', tensor_utils.to_numpy)
    for name, module in list(sys.modules.items()):
        if name.startswith('mmpose.') and 'to_numpy' in vars(module):
            monkeypatch.setattr(module, 'to_numpy', original)
    return tensor_utils, heatmap_head


def test_bfloat16_becomes_float32_wherever_it_is_used(mmpose_as_installed):
    tensor_utils, heatmap_head = mmpose_as_installed
    values = torch.tensor([0.5, -3.0]).bfloat16()
    with pytest.raises(TypeError, match='BFloat16'):
        heatmap_head.to_numpy(values)

    let_mmpose_read_bfloat16()
    let_mmpose_read_bfloat16()
    assert heatmap_head.to_numpy is tensor_utils.to_numpy
    array = heatmap_head.to_numpy(values)
    assert array.dtype == 'float32'
    assert array.tolist() == [0.5, -3.0]
    arrays, device = heatmap_head.to_numpy([values, values], return_device=True)
    assert [a.tolist() for a in arrays] == [[0.5, -3.0]] * 2
    assert device.type == 'cpu'
    # Other dtypes are none of its business.
    assert heatmap_head.to_numpy(values.half()).dtype == 'float16'
    # One layer, however often it is called.
    assert not hasattr(tensor_utils.to_numpy.__wrapped__, '__wrapped__')


def test_without_mmpose(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmpose.utils.tensor_utils', raising=False)
    let_mmpose_read_bfloat16()
    assert 'mmpose.utils.tensor_utils' not in sys.modules


@pytest.mark.skipif(
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
