# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Static INT8 programs for PyTorch's own compiler, by torchao's pt2e."""

from __future__ import annotations

import dataclasses
import operator
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hpml_mm.compat import require
from hpml_mm.quantization.calibration import two_images
from hpml_mm.quantization.coverage import Coverage, LayerCoverage, require_converted

from .cpu_features import needs_reduced_range
from .onnx_ranges import check_ranges

#: torchao's histogram takes the cut with the least squared error.
RANGES = ('histogram', 'minmax')
_REMEDY = "keep fewer layers in FP32, or use backend 'onnxruntime'"
_QUANTIZER = 'torchao.quantization.pt2e.quantizer.x86_inductor_quantizer'
_DEQUANTIZE = 'dequantize_per'
_WEIGHTED = ('conv1d', 'conv2d', 'conv3d', 'conv_transpose2d', 'linear')


class InductorPTQ:
    """Turns a network into INT8 programs for ``torch.compile`` on x86.

    Args:
        network: Without BatchNorm as far as possible; it is exported here, once.
        batches: Images for calibration, of shape (N, C, H, W).
        ranges: How ranges of activations are found: one of :data:`RANGES`.

    Raises:
        ImportError: torchao is not installed.
        ValueError: The ranges are unknown, or the network cannot be exported.
    """

    def __init__(
        self, network: nn.Module, batches: Sequence[Tensor], ranges: str = 'histogram'
    ) -> None:
        check_ranges(ranges, RANGES)
        self._x86 = require(_QUANTIZER)
        self._pt2e = require('torchao.quantization.pt2e.quantize_pt2e')
        self._network = network.eval()
        self._batches = batches
        self._ranges = ranges
        self._layers = [module_of(n) for n in _weighted(self._export())]

    @property
    def layers(self) -> list[str]:
        """Module names of all layers with weights."""
        return list(self._layers)

    def convert(
        self, keep: Mapping[str, str] | None = None
    ) -> tuple[nn.Module, Coverage]:
        """Make an INT8 program, which runs eagerly and is fast when compiled.

        Args:
            keep: Why a layer stays in FP32, by its module's name.

        Returns:
            The program, of float32 images as the network, and what became of the
            layers. :func:`compiled` makes it fast.

        Raises:
            NothingConverted: No layer is INT8.
            ValueError: torchao fails on an operation of the network.
        """
        keep = dict(keep or {})
        quantizer = self._quantizer(keep)  # its warning of the CPU is to be seen
        try:
            with _quiet():
                prepared = self._pt2e.prepare_pt2e(self._export(), quantizer)
                with torch.no_grad():
                    for batch in self._batches:
                        prepared(batch)
                program = self._pt2e.convert_pt2e(prepared)
        except Exception as error:  # whatever stops it, another backend is the way out
            raise ValueError(
                f'torchao cannot quantize this network: {_first_line(error)}. Use '
                "backend 'onnxruntime' or 'openvino'"
            ) from error
        return program, require_converted(_coverage(program, keep), _REMEDY)

    def _export(self) -> Any:
        return exported(self._network, two_images(self._batches))

    def _quantizer(self, keep: Mapping[str, str]) -> Any:
        quantizer = self._x86.X86InductorQuantizer()
        config = self._x86.get_default_x86_inductor_quantization_config(
            reduce_range=needs_reduced_range()
        )
        if self._ranges == 'minmax':
            config = _with_extremes(config)
        quantizer.set_global(config)
        # The product in x * sigmoid(x): the compiler fuses it into its neighbours in
        # FP32, and rounding both its operands costs precision and saves nothing.
        quantizer.set_function_type_qconfig(torch.mul, None)
        for name in keep:
            quantizer.set_module_name_qconfig(name, None)
        return quantizer


def exported(network: nn.Module, images: Tensor) -> Any:
    """The network as a graph of ATen operations, for batches of any size.

    Args:
        network: In evaluation mode.
        images: An example, of shape (N, C, H, W) with N > 1.

    Raises:
        ValueError: It cannot be exported, with what stopped it.
    """
    failures = []
    for strict in (False, True):
        shapes = ({0: torch.export.Dim.AUTO},)
        try:
            with _quiet(), torch.no_grad():
                program = torch.export.export(
                    network, (images,), dynamic_shapes=shapes, strict=strict
                )
                graph = program.module()
            _name_sources_(graph)
            return graph
        except Exception as error:  # any of the tracer's own
            failures.append(error)
    raise ValueError(
        f'{type(network).__name__} cannot be exported by torch.export: '
        f"{_first_line(failures[0])}. Use backend 'onnxruntime' or 'openvino'"
    ) from failures[0]


def compiled(program: nn.Module) -> Callable[[Tensor], Tensor]:
    """A program that runs INT8 kernels, compiled at its first call for each batch size.

    Args:
        program: Of :meth:`InductorPTQ.convert`.
    """
    fast = torch.compile(program, dynamic=False)
    seen: set[torch.Size] = set()

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            if images.shape in seen:
                return fast(images)
            # Only with frozen weights are rounding and convolution made one kernel. As
            # an option of torch.compile it comes too late: then compiling fails.
            with torch._inductor.config.patch(freezing=True):
                outputs = fast(images)
            seen.add(images.shape)
            return outputs

    return run


def _name_sources_(program: Any) -> None:
    """Note for each operation that it is a source of its own.

    torchao's quantizer looks for pairs such as a convolution and a ReLU by the module
    that operations come from. It stops at a module that is called twice, as the ReLU
    of a residual block is, and at sums with a number, as HRNet's with 0.
    """
    aten = torch.ops.aten
    kinds = {
        aten.conv1d: nn.Conv1d,
        aten.conv2d: nn.Conv2d,
        aten.linear: nn.Linear,
        aten.relu: nn.ReLU,
        aten.relu_: nn.ReLU,
        aten.hardtanh: nn.Hardtanh,
        aten.hardtanh_: nn.Hardtanh,
        aten.hardswish: nn.Hardswish,
        aten.hardswish_: nn.Hardswish,
        aten.silu: nn.SiLU,
        aten.silu_: nn.SiLU,
        aten.add: operator.add,
        aten.add_: operator.add,
    }
    for node in program.graph.nodes:
        if node.op == 'call_function':
            packet = getattr(node.target, 'overloadpacket', None)
            source = kinds.get(packet, node.target)
            if not all(isinstance(one, torch.fx.Node) for one in node.args[:2]):
                source = node.target if source is operator.add else source
            node.meta['source_fn_stack'] = [(node.name, source)]


def size_mib(program: Any) -> float:
    """Size of what a program computes with; it may hold the FP32 weights as well.

    Args:
        program: Of :meth:`InductorPTQ.convert`.
    """
    names = {node.target for node in program.graph.nodes if node.op == 'get_attr'}
    held = [operator.attrgetter(name)(program) for name in names]
    return sum(value.nbytes for value in held if isinstance(value, Tensor)) / 2**20


def module_of(node: torch.fx.Node) -> str:
    """Dotted name of the module that an operation was traced in."""
    stack = list(node.meta.get('nn_module_stack', {}).values())
    return stack[-1][0].removeprefix("L['self'].") if stack else node.name


def _weighted(program: Any) -> Iterator[torch.fx.Node]:
    for node in program.graph.nodes:
        if node.op == 'call_function' and _kind(node) in _WEIGHTED:
            yield node


def _kind(node: torch.fx.Node) -> str:
    return str(node.target).removeprefix('aten.').split('.')[0]


def _coverage(program: Any, keep: Mapping[str, str]) -> Coverage:
    found = []
    for node in _weighted(program):
        name = module_of(node)
        rounded = [_DEQUANTIZE in str(operand.target) for operand in node.args[:2]]
        reason = None if all(rounded) else keep.get(name, _why_not(node))
        found.append(LayerCoverage(name, _kind(node), reason))
    operations = Counter(
        str(node.target) for node in program.graph.nodes if node.op == 'call_function'
    )
    return Coverage(tuple(found), dict(sorted(operations.items())))


def _why_not(node: torch.fx.Node) -> str:
    if _kind(node) in ('conv1d', 'conv2d', 'linear'):
        return "torchao's quantizer left it out"
    return f'Inductor has no INT8 {_kind(node)}'


def _with_extremes(config: Any) -> Any:
    """The same, with the smallest and largest value as the range of activations."""
    observer = require('torchao.quantization.pt2e').MinMaxObserver
    spec = dataclasses.replace(
        config.input_activation,
        observer_or_fake_quant_ctr=observer.with_args(eps=2**-12),
    )
    return dataclasses.replace(config, input_activation=spec, output_activation=spec)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0] if lines else "no reason given"}'


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporting and preparing warn of what their own code does."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
