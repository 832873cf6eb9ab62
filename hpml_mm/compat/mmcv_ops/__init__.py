# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-in for ``mmcv._ext``, the compiled ops that a pure-Python MMCV lacks.

``mmpose.models`` imports ``mmcv.ops``, which looks up every compiled op by name at
import. The stand-in answers each of these names. Those of ``SERVED`` are computed by
torchvision or PyTorch, on any device; the others raise an error that names them.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import NoReturn

EXT_NAME = 'mmcv._ext'
# MMCV compiles its ops when its build sees torch, hence no build isolation; a cached
# wheel would be the pure-Python one again.
HOW_TO_BUILD = (
    'pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation '
    '--no-binary onedl-mmcv onedl-mmcv'
)

# Module of this package to the ops in it. They are imported when one is first called.
SERVED = {
    'attention': (
        'ms_deform_attn_backward',
        'ms_deform_attn_forward',
        'psamask_backward',
        'psamask_forward',
    ),
    'boxes': (
        'bbox_overlaps',
        'nms',
        'nms_match',
        'softnms',
    ),
    'polygons': (
        'box_iou_quadri',
        'box_iou_rotated',
        'nms_quadri',
        'nms_rotated',
        'points_in_polygons_forward',
    ),
    'convolution': (
        'deform_conv_backward_input',
        'deform_conv_backward_parameters',
        'deform_conv_forward',
        'masked_col2im_forward',
        'masked_im2col_forward',
        'modulated_deform_conv_backward',
        'modulated_deform_conv_forward',
    ),
    'losses': (
        'sigmoid_focal_loss_backward',
        'sigmoid_focal_loss_forward',
        'softmax_focal_loss_backward',
        'softmax_focal_loss_forward',
    ),
    'maps': (
        'carafe_backward',
        'carafe_forward',
        'carafe_naive_backward',
        'carafe_naive_forward',
        'correlation_backward',
        'correlation_forward',
    ),
    'points': (
        'ball_query_forward',
        'chamfer_distance_backward',
        'chamfer_distance_forward',
        'gather_points_backward',
        'gather_points_forward',
        'group_points_backward',
        'group_points_forward',
        'knn_forward',
        'three_interpolate_backward',
        'three_interpolate_forward',
        'three_nn_forward',
    ),
    'pooling': (
        'roi_align_backward',
        'roi_align_forward',
        'roi_pool_backward',
        'roi_pool_forward',
    ),
    'shaped_pooling': (
        'border_align_backward',
        'border_align_forward',
        'deform_roi_pool_backward',
        'deform_roi_pool_forward',
        'roi_align_rotated_backward',
        'roi_align_rotated_forward',
    ),
}


class MMCVOps(ModuleType):
    """Module with every op name; an op that is not served raises when called."""

    def __getattr__(self, name: str) -> Callable:
        # Not an op: importlib, inspect and copy look for such names on any module.
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        place = next((module for module, ops in SERVED.items() if name in ops), None)

        def op(*args, **kwargs) -> object:
            if place is None:
                raise_missing(name)
            module = importlib.import_module(f'{__name__}.{place}')
            return getattr(module, name)(*args, **kwargs)

        return op


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
    for name in ('get_compiler_version', 'get_compiling_cuda_version'):
        vars(ops)[name] = get_compiler_version
    sys.modules[EXT_NAME] = ops
    return True


def get_compiler_version() -> str:
    """Answer ``mmcv.utils.collect_env``, which asks for both unconditionally."""
    return 'n/a (no compiled ops)'


def raise_missing(op: str) -> NoReturn:
    """Raise the error of an op that only compiled code can serve."""
    raise NotImplementedError(
        f'mmcv op {op} needs compiled ops, and this MMCV is pure Python. Build it '
        f'with a C++ compiler (and nvcc for a GPU): {HOW_TO_BUILD}'
    )
