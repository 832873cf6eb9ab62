# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-in for ``mmcv._ext``, the compiled ops that a pure-Python MMCV lacks.

``mmpose.models`` imports ``mmcv.ops``, which looks up every compiled op by name at
import. The stand-in answers each of these names, so that everything that calls no
op works; the ops that torchvision has too are handed to torchvision.
"""

import importlib.util
import sys
from collections.abc import Callable
from functools import reduce
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from torch import Tensor

EXT_NAME = 'mmcv._ext'
# MMCV compiles its ops when its build sees torch, hence no build isolation; a cached
# wheel would be the pure-Python one again.
HOW_TO_BUILD = (
    'pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation '
    '--no-binary onedl-mmcv onedl-mmcv'
)


class MMCVOps(ModuleType):
    """Module with every op name; an op without a torchvision equivalent raises."""

    def __getattr__(self, name: str) -> Callable:
        # Not an op: importlib, inspect and copy look for such names on any module.
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def missing_op(*args, **kwargs) -> NoReturn:
            _raise_missing(name)

        return missing_op


def install_mmcv_ops() -> bool:
    """Put the stand-in into ``sys.modules`` where MMCV has no compiled ops.

    Imports neither MMCV nor torch, and may be called any number of times.

    Returns:
        Whether the stand-in is in place afterwards: False without MMCV and with a
        MMCV whose ops are compiled.
    """
    if EXT_NAME in sys.modules:
        return isinstance(sys.modules[EXT_NAME], MMCVOps)
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv is None or mmcv.submodule_search_locations is None:
        return False
    # importlib.util.find_spec('mmcv._ext') would import mmcv, and torch with it.
    if PathFinder.find_spec(EXT_NAME, list(mmcv.submodule_search_locations)):
        return False
    ops = MMCVOps(EXT_NAME, 'Stand-in for the compiled ops of MMCV.')
    # Without a spec importlib.util.find_spec(EXT_NAME) raises.
    ops.__spec__ = ModuleSpec(EXT_NAME, loader=None)
    for served in (nms, roi_align_forward, roi_align_backward, get_compiler_version):
        setattr(ops, served.__name__, served)
    vars(ops)['get_compiling_cuda_version'] = get_compiler_version
    sys.modules[EXT_NAME] = ops
    return True


def get_compiler_version() -> str:
    """Answer ``mmcv.utils.collect_env``, which asks for both unconditionally."""
    return 'n/a (no compiled ops)'


def nms(
    boxes: 'Tensor', scores: 'Tensor', iou_threshold: float, offset: int
) -> 'Tensor':
    """Non-maximum suppression by ``torchvision.ops.nms``.

    Args:
        boxes: Shape (N, 4), as x1, y1, x2, y2.
        scores: Shape (N,).
        iou_threshold: A box is dropped above this IoU with a better one.
        offset: Added to each width and height, in pixels.

    Returns:
        Indices of the boxes that are kept, best score first, shape (K,).
    """
    from torchvision import ops

    boxes, scores = _as_float(boxes, scores)
    # Width, height and every overlap grow by the offset if x2 and y2 do.
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return ops.nms(boxes, scores, iou_threshold)


def roi_align_forward(
    features: 'Tensor',
    rois: 'Tensor',
    output: 'Tensor',
    argmax_y: 'Tensor',
    argmax_x: 'Tensor',
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average RoI align by ``torchvision.ops.roi_align``, written to ``output``.

    Arguments are those of ``mmcv.ops.RoIAlign``: features of shape (N, C, H, W), and
    regions of shape (K, 5), as index into N, x1, y1, x2, y2.

    Raises:
        NotImplementedError: ``pool_mode`` is 0, the maximum, which torchvision lacks.
    """
    from torchvision import ops

    _check_pool_mode(pool_mode)
    features, rois = _as_float(features, rois)
    size = (aligned_height, aligned_width)
    pooled = ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned)
    output.copy_(pooled)


def roi_align_backward(
    grad_output: 'Tensor',
    rois: 'Tensor',
    argmax_y: 'Tensor',
    argmax_x: 'Tensor',
    grad_input: 'Tensor',
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward`, written to ``grad_input``."""
    import torch
    from torchvision import ops

    _check_pool_mode(pool_mode)
    grad_output, rois = _as_float(grad_output, rois)
    size = (aligned_height, aligned_width)
    # MMCV calls this inside a backward pass, where no graph is recorded. The op is
    # linear in the features, so zeros have the same gradient as the real ones.
    with torch.enable_grad():
        features = torch.zeros_like(
            grad_input, dtype=grad_output.dtype, requires_grad=True
        )
        pooled = ops.roi_align(
            features, rois, size, spatial_scale, sampling_ratio, aligned
        )
    (gradient,) = torch.autograd.grad(pooled, features, grad_output)
    grad_input.copy_(gradient)


def _as_float(*tensors: 'Tensor') -> list['Tensor']:
    """Cast to one dtype, at least float32: torchvision's CPU ops lack bfloat16."""
    import torch

    dtype = reduce(
        torch.promote_types, [tensor.dtype for tensor in tensors], torch.float32
    )
    return [tensor.to(dtype) for tensor in tensors]


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode == 0:
        _raise_missing("roi_align with pool_mode='max'")


def _raise_missing(op: str) -> NoReturn:
    raise NotImplementedError(
        f'mmcv op {op} needs compiled ops, and this MMCV is pure Python. Build it '
        f'with a C++ compiler (and nvcc for a GPU): {HOW_TO_BUILD}'
    )
