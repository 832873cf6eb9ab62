# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A network as an ONNX file that describes itself."""

import dataclasses
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hpml_mm.utils.files import replacing

from .engines import OnnxEngine
from .export_error import export_problem
from .folding import folded_copy
from .network import Outputs, PlainNetwork
from .onnx_names import drop_notes_, name_weights_, node_modules
from .spec import METADATA_KEY, DeploySpec

__all__ = ['Exported', 'export_onnx', 'node_modules']

if TYPE_CHECKING:
    from onnx import ModelProto

#: The version that PyTorch's exporter writes without a conversion. It has per-channel
#: QuantizeLinear, which came with 13.
OPSET = 18
INPUT = 'images'


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of an export.

    Attributes:
        path: The file.
        size_mib: Its size in MiB.
        folded: How many BatchNorms were folded.
        difference: Largest difference of an output from PyTorch's, as a part of the
            largest output.
    """

    path: Path
    size_mib: float
    folded: int
    difference: float


def export_onnx(
    network: PlainNetwork,
    spec: DeploySpec,
    path: str | Path,
    example: Tensor | None = None,
    tolerance: float = 1e-4,
) -> Exported:
    """Write a network as ONNX for any batch, and make sure that it says the same.

    BatchNorms are folded in a copy. A weight keeps its module's name, as in
    ``backbone.layer1.0.conv1.weight``; see
    :func:`~hpml_mm.deploy.onnx_names.node_modules`.

    Args:
        network: Stays as it is, on whatever device.
        spec: Goes into the file's metadata.
        path: File to write; what was there stays until the new one is whole.
        example: Normalised images (N, C, H, W), N > 1, to compare the outputs on;
            None for noise.
        tolerance: Largest difference, as a part of the largest output.

    Raises:
        ValueError: If the network cannot be exported; it names the operator or the
            module. Or if ONNX Runtime's outputs differ from PyTorch's.
    """
    if example is None:
        width, height = spec.input_size
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(2, spec.channels, height, width, generator=generator)
    example = example.contiguous()  # the graph is traced for this layout
    batch_norms = _count_norms(network)
    plain = folded_copy(network, example)
    model = _to_onnx(plain, example)
    _attach_spec(model, spec)
    with torch.no_grad():
        expected = plain(example)
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = _difference(expected, OnnxEngine(temporary)(example))
        if not difference <= tolerance:  # a NaN is not within any
            raise ValueError(
                f'{path}: the outputs of ONNX Runtime differ from those of PyTorch by '
                f'{difference:.2g} of the largest, more than {tolerance:g}'
            )
    folded = batch_norms - _count_norms(plain)
    return Exported(path, path.stat().st_size / 2**20, folded, difference)


def _attach_spec(model: 'ModelProto', spec: DeploySpec) -> None:
    """Put the description among the metadata, in place of an earlier one."""
    import onnx

    notes = {note.key: note.value for note in model.metadata_props}
    onnx.helper.set_model_props(model, {**notes, METADATA_KEY: spec.to_json()})


def _to_onnx(network: PlainNetwork, example: Tensor) -> 'ModelProto':
    with _quiet():
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                dynamic_shapes=({0: 'batch'},),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # exporters let any error of a network through
            raise ValueError(export_problem(network, error)) from error
    model = program.model_proto
    name_weights_(model.graph)
    drop_notes_(model.graph)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on versions and on packages that it misses."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _difference(expected: Outputs, found: Outputs) -> float:
    """Largest difference as a part of the largest expected value."""
    pairs = zip(_listed(expected), _listed(found), strict=True)
    parts = [
        float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))
        for one, other in pairs
    ]
    return max(parts)


def _listed(outputs: Outputs) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _count_norms(network: torch.nn.Module) -> int:
    kinds = torch.nn.modules.batchnorm._BatchNorm
    return sum(isinstance(module, kinds) for module in network.modules())
