# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base classes of quantization backends."""

import contextlib
import io
import os
import platform
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from torch import Tensor, nn

from hpml_mm.compat import require
from hpml_mm.deploy.engines import Engine, OnnxEngine, OpenVinoEngine
from hpml_mm.deploy.export import write_onnx
from hpml_mm.deploy.fold_batch_norm import folded_copy
from hpml_mm.deploy.onnx_names import node_modules
from hpml_mm.deploy.spec import DeploySpec
from hpml_mm.quantization.calibration import two_images
from hpml_mm.quantization.coverage import (
    ASKED_FOR,
    SQUEEZE_EXCITATION,
    Coverage,
    require_converted,
    squeeze_excitation_layers,
)
from hpml_mm.quantization.rounding import weighted_layers

#: Ranges without any care, to compare: extremes, swish not cut off, one scale for a
#: whole weight, and squeeze-and-excitation in INT8 too.
NAIVE = 'naive'
_VNNI_FLAGS = {'avx512_vnni', 'avx_vnni', 'amx_int8'}


@dataclass(frozen=True)
class Quantized:
    """A network in INT8.

    Attributes:
        engine: Runs it.
        coverage: Its layers in INT8 and in FP32.
    """

    engine: Engine
    coverage: Coverage


class Backend(ABC):
    """Backend that makes INT8 models of one network, with any layers kept in FP32.

    A network that was trained with fake quantization is converted as any other: its
    weights are on the grid already.

    Args:
        network: A plain network; stays as it is.
        spec: Goes into the file.
        batches: Normalised images for calibration, (N, C, H, W); one is enough for
            ``'dynamic'``.
        method: One of ``methods``.
        ranges: One of ``known_ranges``; None for the first.
        folded: The network's :func:`~hpml_mm.deploy.fold_batch_norm.folded_copy`, where
            there is one already.

    Attributes:
        name: In settings and on the command line.
        methods: Among ``'ptq'``, ``'qat'`` and ``'dynamic'``.
        known_ranges: Ways to find ranges of activations, the default first.
        suffixes: Suffixes of the files that make an INT8 model, the one to open first.
        extras: Packages that the project itself does not require.
        remedy: For a network of which nothing is converted.

    Raises:
        ImportError: A package is not installed.
        ValueError: The method or the ranges are unknown, or the network cannot be
            exported.
    """

    name: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    known_ranges: ClassVar[tuple[str, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ()
    extras: ClassVar[tuple[str, ...]] = ()
    remedy: ClassVar[str] = 'keep fewer layers in FP32, or use another backend'

    def __init__(
        self,
        network: nn.Module,
        spec: DeploySpec,
        batches: Sequence[Tensor],
        method: str = 'ptq',
        ranges: str | None = None,
        folded: nn.Module | None = None,
    ) -> None:
        self.ranges = self.check(method, ranges)
        if not batches:
            raise ValueError('quantization needs at least one batch of images')
        self.network, self.spec, self.batches = network, spec, batches
        self.layers = weighted_layers(network)
        self.prepare(folded)

    @classmethod
    def check(cls, method: str, ranges: str | None = None) -> str:
        """Check method and ranges; return the ranges to use, '' for a dynamic method.

        Raises:
            ValueError: The backend has no such method or ranges.
        """
        if method not in cls.methods:
            raise ValueError(
                f'backend {cls.name!r} has no method {method!r}: use '
                f'{", ".join(cls.methods)}, or another backend'
            )
        if method == 'dynamic':
            if ranges is not None:
                raise ValueError(
                    f"ranges is {ranges!r}: method 'dynamic' finds none before it runs"
                )
            return ''
        if ranges is not None and ranges not in cls.known_ranges:
            raise ValueError(
                f'backend {cls.name!r} finds no ranges by {ranges!r}: use '
                f'{", ".join(cls.known_ranges)}'
            )
        return ranges or cls.known_ranges[0]

    @classmethod
    def check_installed(cls) -> None:
        """Import the optional packages, before long work that ends in them.

        Raises:
            ImportError: One of them is missing; it names the extra.
        """
        for package in cls.extras:
            require(package, cls.name)

    @abstractmethod
    def prepare(self, folded: nn.Module | None) -> None:
        """Prepare the network once for all conversions."""

    @abstractmethod
    def convert(
        self, keep: Sequence[str] | Mapping[str, str] = (), out: Path | None = None
    ) -> Quantized:
        """Quantize.

        Args:
            keep: Names of layers that stay in FP32, or why, by their names.
            out: File to write; a temporary one, which lives as long as this object,
                where None. Only a whole file takes its name.

        Raises:
            NothingConverted: No layer is INT8.
            ValueError: There is no layer of a name in ``keep``, or the file has another
                suffix than the backend's.
        """

    @abstractmethod
    def fp32_engine(
        self, path: Path, reference: nn.Module | None = None
    ) -> Engine | None:
        """Engine that runs FP32 in the graph that INT8 starts from, for comparison.

        Args:
            path: ONNX file to write.
            reference: Another network of the same layers to run in place of this one.

        Returns:
            None where the engine is eager PyTorch.
        """

    def reasons_of(self, keep: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
        """Reasons of the layers to keep in FP32, which must exist."""
        if unknown := [name for name in keep if name not in self.layers]:
            raise ValueError(
                f'no layer is called {unknown[0]!r}, which is to stay in FP32; there '
                f'are {", ".join(self.layers)}'
            )
        return dict(
            keep if isinstance(keep, Mapping) else dict.fromkeys(keep, ASKED_FOR)
        )


class FileBackend(Backend):
    """A backend that makes a file of the network in ONNX.

    Exporting and observing ranges are done once. A file that was written for the same
    layers before is copied: a search ends in what it has tried.

    Attributes:
        engine: Runs a file.
    """

    engine: ClassVar[type[OnnxEngine] | type[OpenVinoEngine]]

    def prepare(self, folded: nn.Module | None) -> None:
        """Export the network in FP32, and observe the ranges of its activations."""
        self._temporary = TemporaryDirectory(prefix='hpml_mm-')
        self.folder = Path(self._temporary.name)
        self._written: dict[tuple[tuple[str, str], ...], tuple[Path, Coverage]] = {}
        example = two_images(self.batches)
        plain = self.adapt(folded or folded_copy(self.network, example))
        # Squeeze-and-excitation stays in FP32, but for naive ranges.
        kept = squeeze_excitation_layers(plain, example) if self.ranges != NAIVE else []
        self._kept = dict.fromkeys(kept, SQUEEZE_EXCITATION)
        self.fp32 = self.folder / 'fp32.onnx'
        # Noise would take some networks where float32 is not exact enough to compare.
        write_onnx(plain, self.spec, self.fp32, example)
        self.calibrate(node_modules(require('onnx').load(self.fp32)))

    def adapt(self, folded: nn.Module) -> nn.Module:
        """Replace layers that the engine lacks in INT8 by equivalent ones, in place."""
        return folded

    @abstractmethod
    def calibrate(self, modules: Mapping[str, str]) -> None:
        """Observe the FP32 file, whose nodes have these modules, on the batches."""

    @abstractmethod
    def write(self, path: Path, keep: Mapping[str, str]) -> Coverage:
        """Write an INT8 model.

        Args:
            path: File to write; overwritten.
            keep: Why a layer stays in FP32, by its name.
        """

    def convert(
        self, keep: Sequence[str] | Mapping[str, str] = (), out: Path | None = None
    ) -> Quantized:
        """Quantize, or copy what was written before; see :class:`Backend`."""
        reasons = {**self._kept, **self.reasons_of(keep)}
        suffix = self.suffixes[0]
        if out is not None and out.suffix != suffix:
            raise ValueError(
                f'{out}: a model of {self.name} is written to a file that ends in '
                f'{suffix}'
            )
        key = tuple(sorted(reasons.items()))
        if key not in self._written:
            path = self.folder / f'int8_{len(self._written) + 1}{suffix}'
            self._written[key] = path, self.write(path, reasons)
        path, coverage = self._written[key]
        require_converted(coverage, self.remedy)
        if out is not None:
            _copy(path, out)
        return Quantized(self.engine(out or path), coverage)

    def fp32_engine(self, path: Path, reference: nn.Module | None = None) -> Engine:
        """Run an ONNX file with the network in FP32; see :class:`Backend`."""
        if reference is None:
            _copy(self.fp32, path)
        else:
            example = two_images(self.batches)
            plain = self.adapt(folded_copy(reference, example))
            write_onnx(plain, self.spec, path, example)
        return self.engine(path)


def needs_reduced_range(cpuinfo: Path = Path('/proc/cpuinfo')) -> bool:
    """True if weights must have 7 bits on this CPU; logs a warning then.

    Without VNNI, x86 adds two products of a byte and a signed byte in 16 bits, and
    what does not fit is cut off. Half the range of weights is enough to avoid it.

    Args:
        cpuinfo: File with the CPU's flags.
    """
    # Elsewhere it is not known, or no x86 and the question is moot.
    if platform.machine().lower() not in ('x86_64', 'amd64') or not cpuinfo.is_file():
        return False
    for line in cpuinfo.read_text(encoding='utf-8', errors='replace').splitlines():
        if line.startswith('flags'):
            if _VNNI_FLAGS & set(line.partition(':')[2].split()):
                return False
            break
    else:
        return False
    warnings.warn(
        'this CPU has no VNNI: weights get 7 bits instead of 8, so that sums of INT8 '
        'products do not overflow, and INT8 may be no faster than FP32. Convert on a '
        'CPU of the kind that the model will run on',
        stacklevel=2,
    )
    return True


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Silence calibrators, which print a line for each batch."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _copy(path: Path, out: Path) -> None:
    """Copy a model and its weights atomically."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix='.hpml_mm-') as folder:
        for suffix in ('.bin', path.suffix):
            part = path.with_suffix(suffix)
            if part.exists():
                whole = Path(folder, out.with_suffix(suffix).name)
                shutil.copyfile(part, whole)
                os.replace(whole, out.with_suffix(suffix))
