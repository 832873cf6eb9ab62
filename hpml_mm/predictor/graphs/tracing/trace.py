# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Tracing of PyTorch modules to computational graphs.

The module runs once on fake tensors, which have a shape and no data: nothing is
computed, and its weights are neither read nor copied. What it calls is recorded by the
mechanism beneath ``make_fx`` and ``FlopCounterMode``, one node per operator:

- a bias belongs to its convolution or matrix product;
- views, copies, rearrangements (also of windows and channels) and dropout leave no
  node, edges go past them;
- sums, products and concatenations with only one computed input leave none either,
  unless a parameter goes in, which needs a node to be counted at;
- fused attention is recorded as its two matrix products and a softmax;
- a matrix product of two computed tensors is a 'matmul' without parameters;
- computations on parameters and constants alone leave nodes only where they multiply
  matrices; such nodes have no edge that leads to them.

The MACs are those that ``FlopCounterMode`` counts, halved, and the parameters those of
``module.parameters()``; ones that the module does not use count at the 'output' node.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hpml_mm.predictor.graphs.graph import Graph

from .modules import ModulePaths, evaluating
from .record import Recorder

_RANDOM = frozenset({'aten::uniform_', 'aten::normal_'})


def trace(
    module: nn.Module,
    input_shape: Sequence[int] = (3, 224, 224),
    call: Callable[[nn.Module, Tensor], Any] | None = None,
) -> Graph:
    """Trace a module in evaluation mode, for one image.

    Args:
        module: Any module that takes one tensor, or a model of MMPretrain or MMPose,
            of which the network up to its head's raw output is taken. Its training
            flags are put back afterwards.
        input_shape: Shape of the input without the batch.
        call: Function that runs the module, if not ``module(image)``.

    Raises:
        ValueError: It cannot be traced; the message names the operator and the module
            at which it stopped. That is the case if the network looks at values
            (``item``, ``nonzero``), or uses operators that PyTorch does not bring.
    """
    paths = ModulePaths(module)
    weights = list(module.parameters())
    with (
        _quiet(),
        _plain_attention(),
        _known_shapes(),
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.no_grad(),
        paths.watch(),
    ):
        device = weights[0].device if weights else None
        image = torch.empty(1, *input_shape, device=device)
        recorder = Recorder(weights, paths, image)
        try:
            with recorder, evaluating(module):
                output = (call or raw_output)(module, image)
            tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
            return recorder.finish(tensors)
        except Exception as error:
            raise _explained(module, input_shape, recorder, paths, error) from error


@contextmanager
def uninitialised() -> Iterator[None]:
    """Context in which modules are built without initialising their weights.

    To draw weights takes most of the time in which a large network is built, and fills
    its memory: a network of a billion parameters that is only traced needs neither.
    """
    with _LeaveOut():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Let PyTorch log no traceback of an error that is explained anyway."""
    logger = logging.getLogger(FakeTensorMode.__module__)
    disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = disabled


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention take the path of plain products: fused ones hide their cost."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _known_shapes() -> Iterator[None]:
    """Let shapes that a network makes a tensor of keep their values."""

    def shape_of(input: Tensor) -> Tensor:
        with unset_fake_temporarily():
            return torch.tensor(input.shape)

    stock = torch._shape_as_tensor
    torch._shape_as_tensor = shape_of
    try:
        yield
    finally:
        torch._shape_as_tensor = stock


def raw_output(module: nn.Module, image: Tensor) -> Any:
    """Run a network up to its head's raw output."""
    # What MMEngine's models take, and their name for the network's own output.
    if {'data_samples', 'mode'} <= set(inspect.signature(module.forward).parameters):
        return module(image, None, mode='tensor')
    return module(image)


def _explained(
    module: nn.Module,
    input_shape: Sequence[int],
    recorder: Recorder,
    paths: ModulePaths,
    error: Exception,
) -> ValueError:
    operator = recorder.running or 'no operator, Python code'
    if isinstance(error, DataDependentOutputException | DynamicOutputShapeException):
        reason = 'its result depends on values, and tracing knows shapes alone'
    else:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ValueError(
        f'{type(module).__name__} cannot be traced with an input of '
        f'{tuple(input_shape)}: it stopped at {operator} in module '
        f'{paths.current!r}: {reason}'
    )


class _LeaveOut(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in _RANDOM:
            return args[0]
        return func(*args, **(kwargs or {}))
