# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ONNX export, with a description of the model in the file."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hpml_mm.utils.files import replacing

from .engines import OnnxEngine
from .fold_batch_norm import folded_copy
from .network import Outputs, as_tuple
from .onnx_names import drop_notes_, name_weights_
from .spec import METADATA_KEY, DeploySpec

if TYPE_CHECKING:
    from onnx import ModelProto

#: The version that PyTorch's exporter writes without a conversion. It has per-channel
#: QuantizeLinear, which came with 13.
OPSET = 18
INPUT = 'images'
# Name of an operator that the exporter has no translation for, in its error.
_OPERATOR = re.compile(r"OpOverload\(op='([\w.:]+)'")


def export_onnx(
    network: nn.Module,
    spec: DeploySpec,
    path: str | Path,
    example: Tensor | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Write a network as ONNX for any batch, and compare the outputs.

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
    write_onnx(folded_copy(network, example), spec, path, example, tolerance)


def write_onnx(
    folded: nn.Module,
    spec: DeploySpec,
    path: str | Path,
    example: Tensor,
    tolerance: float = 1e-4,
) -> None:
    """Write a network whose BatchNorms are folded; see :func:`export_onnx`."""
    example = example.contiguous()  # the graph is traced for this layout
    model = _to_onnx(folded, example)
    _attach_spec(model, spec)
    with torch.no_grad():
        expected = folded(example)
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = _difference(expected, OnnxEngine(temporary)(example))
        if not difference <= tolerance:  # a NaN is not within any
            raise ValueError(
                f'{path}: the outputs of ONNX Runtime differ from those of PyTorch by '
                f'{difference:.2g} of the largest, more than {tolerance:g}'
            )


def _attach_spec(model: 'ModelProto', spec: DeploySpec) -> None:
    """Put the description among the metadata, in place of an earlier one."""
    import onnx

    notes = {note.key: note.value for note in model.metadata_props}
    onnx.helper.set_model_props(model, {**notes, METADATA_KEY: spec.to_json()})


def _to_onnx(network: nn.Module, example: Tensor) -> 'ModelProto':
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
            raise ValueError(_problem(network, error)) from error
    assert program is not None  # with the dynamo exporter
    model = program.model_proto
    name_weights_(model.graph)
    drop_notes_(model.graph)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks on versions and missing packages."""
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
    """Largest difference, relative to the largest expected value."""
    return max(
        float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))
        for one, other in zip(as_tuple(expected), as_tuple(found), strict=True)
    )


def _problem(network: nn.Module, error: BaseException) -> str:
    """One line with the operator without translation, or the module to blame."""
    chain = list(_causes(error))
    reason = _first_line(chain[-1])
    for cause in chain:
        if found := _OPERATOR.search(str(cause)):
            reason = f'operator {found[1]} has no translation to ONNX'
    place = _deepest_module(network, chain)
    return f'the network cannot be exported: {place}{reason}'


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """List an error and its causes, the first cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _deepest_module(network: nn.Module, chain: list[BaseException]) -> str:
    """The innermost module of the network whose code was running."""
    names = {id(module): name for name, module in network.named_modules()}
    for cause in reversed(chain):
        for frame, _ in reversed(list(walk_tb(cause.__traceback__))):
            module = frame.f_locals.get('self')
            if isinstance(module, nn.Module) and names.get(id(module)):
                return f'{names[id(module)]} ({type(module).__name__}): '
    return ''


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # One that ends in a colon says nothing without the next.
    count = 2 if lines and lines[0].endswith(':') else 1
    return ': '.join([type(error).__name__, ' '.join(lines[:count])]).rstrip(': ')
