# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One way to quantize a network, whichever backend does it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from hpml_mm.compat import require
from hpml_mm.deploy.engines import (
    EagerEngine,
    Engine,
    InductorEngine,
    OnnxEngine,
    OpenVinoEngine,
)
from hpml_mm.deploy.folding import folded_copy
from hpml_mm.deploy.onnx_file import export_onnx, node_modules
from hpml_mm.deploy.spec import DeploySpec
from hpml_mm.quantization.calibration import two_images
from hpml_mm.quantization.coverage import ASKED_FOR, GATE, Coverage
from hpml_mm.quantization.layers import gate_layers, weighted_layers

from . import (
    inductor as ptq_inductor,
)
from . import (
    onnxruntime as ptq_onnx,
)
from . import (
    openvino as ptq_openvino,
)
from .dynamic import dynamic_torch
from .onnx_ranges import NAIVE
from .onnx_ranges import RANGES as ONNX_RANGES
from .subpixel import replace_deconvolutions_

#: Methods of each backend. What was trained with fake quantization is converted as
#: any other network: its weights are on the grid already.
BACKENDS: Mapping[str, tuple[str, ...]] = {
    'onnxruntime': ('ptq', 'qat', 'dynamic'),
    'openvino': ('ptq', 'qat'),
    'inductor': ('ptq', 'qat'),
    'torch': ('dynamic',),
}
#: Ways to find ranges of activations; the first one is the default.
RANGES: Mapping[str, tuple[str, ...]] = {
    'onnxruntime': ONNX_RANGES,
    'openvino': ptq_openvino.RANGES,
    'inductor': ptq_inductor.RANGES,
    'torch': (),
}
# They have no INT8 kernel for it, and most weights of a pose head are in there.
_WITHOUT_DECONVOLUTION = ('onnxruntime', 'inductor')


@dataclass(frozen=True)
class Quantized:
    """A network that was quantized.

    Args:
        engine: Runs it.
        coverage: What became of its layers.
        path: Its file; None where the backend has none.
    """

    engine: Engine
    coverage: Coverage
    path: Path | None = None


def check_backend(method: str, backend: str, ranges: str | None = None) -> str | None:
    """Refuse what a backend cannot do.

    Args:
        method: ``'dynamic'``, ``'ptq'`` or ``'qat'``.
        backend: A key of :data:`BACKENDS`.
        ranges: One of its :data:`RANGES`; None for its default.

    Returns:
        The ranges; None where there is nothing to calibrate.

    Raises:
        ValueError: The backend, its method or its ranges are unknown.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend {backend!r} is unknown: use {", ".join(BACKENDS)}')
    if method not in BACKENDS[backend]:
        able = [name for name, methods in BACKENDS.items() if method in methods]
        raise ValueError(
            f'backend {backend!r} has no method {method!r}, it has '
            f'{", ".join(BACKENDS[backend])}'
            + (f'; {method!r} is there for {", ".join(able)}' if able else '')
        )
    if method == 'dynamic':
        if ranges is not None:
            raise ValueError(
                f"ranges is {ranges!r}: method 'dynamic' finds none before it runs"
            )
        return None
    known = RANGES[backend]
    if ranges is not None and ranges not in known:
        raise ValueError(
            f'backend {backend!r} finds no ranges by {ranges!r}: use {", ".join(known)}'
        )
    return ranges or known[0]


def prepared_copy(network: nn.Module, example: Tensor, backend: str) -> nn.Module:
    """The network as a backend gets it, in FP32 as in INT8.

    BatchNorm is folded, and transposed convolutions are ordinary ones for backends
    that have no INT8 of them: see :mod:`hpml_mm.quantization.backends.subpixel`.

    Args:
        network: Stays as it is.
        example: Images of shape (N, C, H, W).
        backend: A key of :data:`BACKENDS`.
    """
    copy = folded_copy(network, example)
    if backend in _WITHOUT_DECONVOLUTION:
        replace_deconvolutions_(copy)
    return copy


class Converter:
    """Quantizes one network, as often as wanted with other layers left in FP32.

    Exporting and observing ranges are done once. A file that was written for the same
    layers before is copied: a search ends in what it has tried.

    Args:
        network: As :func:`hpml_mm.deploy.network.plain_network` gives it; stays as it
            is.
        spec: Goes into the file.
        batches: Images for calibration, see
            :func:`~hpml_mm.quantization.calibration.calibration_batches`; one example
            is enough for ``'dynamic'``.
        method: ``'dynamic'``, ``'ptq'`` or ``'qat'``.
        backend: A key of :data:`BACKENDS`.
        ranges: One of the backend's :data:`RANGES`; None for its default.

    Raises:
        ImportError: The backend is not installed.
        ValueError: The backend cannot do it, or the network cannot be exported.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: DeploySpec,
        batches: Sequence[Tensor],
        method: str = 'ptq',
        backend: str = 'onnxruntime',
        ranges: str | None = None,
    ) -> None:
        ranges = check_backend(method, backend, ranges)
        if not batches:
            raise ValueError('quantization needs at least one batch of images')
        self._network, self._spec = network, spec
        self._method, self._backend = method, backend
        self._layers = list(weighted_layers(network))
        self._folder = TemporaryDirectory(prefix='hpml_mm-')
        self._made: dict[tuple[tuple[str, str], ...], tuple[Path, Coverage]] = {}
        folded = prepared_copy(network, two_images(batches), backend)
        self._gates = [] if ranges == NAIVE else gate_layers(folded, batches[0])
        if backend == 'inductor':
            self._ptq = ptq_inductor.InductorPTQ(folded, batches, ranges)
        elif backend != 'torch':
            self._export(folded, batches, ranges)

    def _export(
        self, network: nn.Module, batches: Sequence[Tensor], ranges: str | None
    ) -> None:
        self._fp32 = Path(self._folder.name, 'fp32.onnx')
        # Noise would take some networks where float32 is not exact enough to compare.
        export_onnx(network, self._spec, self._fp32, two_images(batches))
        self._modules = node_modules(require('onnx').load(self._fp32))
        if self._method == 'dynamic':
            return
        kinds = {
            'onnxruntime': ptq_onnx.OnnxPTQ,
            'openvino': ptq_openvino.OpenVinoPTQ,
        }
        self._ptq = kinds[self._backend](self._fp32, self._modules, batches, ranges)

    def fp32_file(self, out: Path) -> Path | None:
        """Write the model as it was before the conversion, in ONNX.

        Args:
            out: File to write.

        Returns:
            The file; None of a backend that reads none.
        """
        if self._backend in ('torch', 'inductor'):
            return None
        _copy(self._fp32, out)
        return out

    def convert(
        self,
        keep: Sequence[str] | Mapping[str, str] = (),
        out: str | Path | None = None,
    ) -> Quantized:
        """Quantize.

        Squeeze-and-excitation stays in FP32 as well, but for naive ranges; see
        :func:`~hpml_mm.quantization.layers.gate_layers`.

        Args:
            keep: Names of layers that stay in FP32, or why, by their names.
            out: File to write, ``.onnx`` or for OpenVINO ``.xml``; a temporary one,
                which lives as long as this object, where None. Only a whole file
                takes its name. Backends without a file write none.

        Raises:
            NothingConverted: No layer is INT8.
            ValueError: There is no layer of a name in ``keep``.
        """
        if unknown := [name for name in keep if name not in self._layers]:
            raise ValueError(
                f'no layer is called {unknown[0]!r}, which is to stay in FP32; there '
                f'are {", ".join(self._layers)}'
            )
        asked = keep if isinstance(keep, Mapping) else dict.fromkeys(keep, ASKED_FOR)
        reasons = {**dict.fromkeys(self._gates, GATE), **asked}
        if self._backend == 'torch':
            return self._eager(tuple(keep))
        if self._backend == 'inductor':
            return self._program(reasons)
        return self._file(reasons, out)

    def _eager(self, keep: Sequence[str]) -> Quantized:
        program, coverage = dynamic_torch(self._network, keep)
        return Quantized(EagerEngine(program), coverage)

    def _program(self, reasons: Mapping[str, str]) -> Quantized:
        program, coverage = self._ptq.convert(reasons)
        size = ptq_inductor.size_mib(program)
        return Quantized(InductorEngine(ptq_inductor.compiled(program), size), coverage)

    def _file(self, reasons: Mapping[str, str], out: str | Path | None) -> Quantized:
        suffix = '.xml' if self._backend == 'openvino' else '.onnx'
        if out is not None and Path(out).suffix != suffix:
            raise ValueError(
                f'{out}: a model of {self._backend} is written to a file that ends in '
                f'{suffix}'
            )
        key = tuple(sorted(reasons.items()))
        if key not in self._made:
            path = Path(self._folder.name, f'int8_{len(self._made) + 1}{suffix}')
            self._made[key] = path, self._write(path, reasons)
        path, coverage = self._made[key]
        out = path if out is None else Path(out)
        if out != path:
            _copy(path, out)
        engine = OpenVinoEngine if self._backend == 'openvino' else OnnxEngine
        return Quantized(engine(out), coverage, out)

    def _write(self, path: Path, reasons: Mapping[str, str]) -> Coverage:
        if self._method == 'dynamic':
            return ptq_onnx.dynamic_onnx(self._fp32, path, self._modules, reasons)
        if self._backend == 'openvino':
            return self._ptq.convert(path, reasons, self._spec.to_json())
        return self._ptq.convert(path, reasons)


def _copy(path: Path, out: Path) -> None:
    """Copy a model and its weights; only what is whole takes its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix='.hpml_mm-') as folder:
        for suffix in ('.bin', path.suffix):
            part = path.with_suffix(suffix)
            if part.exists():
                whole = Path(folder, out.with_suffix(suffix).name)
                shutil.copyfile(part, whole)
                os.replace(whole, out.with_suffix(suffix))


def quantize(
    network: nn.Module,
    spec: DeploySpec,
    batches: Sequence[Tensor],
    method: str = 'ptq',
    backend: str = 'onnxruntime',
    ranges: str | None = None,
    keep: Sequence[str] = (),
    out: str | Path | None = None,
) -> Quantized:
    """Quantize a network once; see :class:`Converter` for the arguments."""
    converter = Converter(network, spec, batches, method, backend, ranges)
    return converter.convert(keep, out)
