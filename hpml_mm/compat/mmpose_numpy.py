# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose on bfloat16 tensors."""

import sys
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
            module.to_numpy = to_numpy
