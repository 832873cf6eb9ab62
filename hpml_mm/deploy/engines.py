# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Inference engines on a CPU, with one interface: PyTorch, ONNX Runtime, OpenVINO."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hpml_mm.compat import keep_signal_stack, require
from hpml_mm.utils.file_kind import why_unreadable

from .network import Outputs
from .spec import METADATA_KEY, DeploySpec

_MIB = 2**20


class Engine(ABC):
    """Callable network: images in, outputs of :class:`PlainNetwork` out.

    Attributes:
        path: The file that it runs; None where there is none.
        size_mib: Size of the network in MiB: of its files, or of its weights where
            there is no file.
        threads: Number of threads to compute with.
        spec: The description that its file carries, None without one.
    """

    path: Path | None = None
    size_mib: float
    threads: int
    spec: DeploySpec | None = None

    @abstractmethod
    def __call__(self, images: Tensor | np.ndarray) -> Outputs:
        """Run a batch.

        Args:
            images: Normalised, float32 of shape (N, C, H, W), on the CPU.

        Returns:
            One tensor on the CPU, or a tuple of them.

        Raises:
            ValueError: If the images have another size than the network takes.
        """


class EagerEngine(Engine):
    """PyTorch without a compiler, as a model is tested by default.

    Args:
        network: Put into evaluation mode; it stays the caller's.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()
        self.threads = torch.get_num_threads()
        # PyTorch's quantized layers hold tuples of tensors, and other things.
        weights = [
            w for w in tree_leaves(network.state_dict()) if isinstance(w, Tensor)
        ]
        self.size_mib = sum(one.nbytes for one in weights) / _MIB

    @torch.no_grad()
    def __call__(self, images: Tensor | np.ndarray) -> Outputs:
        """Run a batch; see :class:`Engine`."""
        return self._network(torch.as_tensor(images))


class OnnxEngine(Engine):
    """ONNX Runtime on a CPU.

    Its threads stop when a run ends. By default they would go on spinning for a while
    and take the cores from whatever runs next, which may be timed.

    Args:
        path: An ``.onnx`` file, quantized or not.
        threads: None for as many as PyTorch uses.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If ONNX Runtime is not installed.
        ValueError: If it cannot be read as a network with one input of images.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        import onnxruntime as ort

        self.path = _existing(path)
        self.threads = threads or torch.get_num_threads()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        options.add_session_config_entry('session.force_spinning_stop', '1')
        try:
            self._session = ort.InferenceSession(
                self.path, options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # its exceptions have no class in common
            reason = why_unreadable(path, error, ('onnx',))
            raise ValueError(f'{path} cannot be read as ONNX: {reason}') from error
        inputs = self._session.get_inputs()
        self._shape = _image_shape(path, [each.shape for each in inputs])
        self._input = inputs[0].name
        self.size_mib = self.path.stat().st_size / _MIB
        notes = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY in notes:
            self.spec = DeploySpec.from_json(notes[METADATA_KEY], str(path))

    def __call__(self, images: Tensor | np.ndarray) -> Outputs:
        """Run a batch; see :class:`Engine`."""
        array = _as_array(images, self._shape, self.path)
        return _as_outputs(self._session.run(None, {self._input: array}))


class OpenVinoEngine(Engine):
    """OpenVINO on a CPU.

    It computes in float32 what is not quantized. By default it would use bfloat16 on a
    CPU that has it, and a comparison would be of something else.

    Arguments and errors are those of :class:`OnnxEngine`; the file may be an ``.xml``
    with its ``.bin`` beside it as well.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        openvino = require('openvino', 'openvino')
        self.path = _existing(path)
        self.threads = threads or torch.get_num_threads()
        settings = {
            'INFERENCE_NUM_THREADS': self.threads,
            'INFERENCE_PRECISION_HINT': 'f32',
            'PERFORMANCE_HINT': 'LATENCY',
        }
        core = openvino.Core()
        try:
            model = core.read_model(self.path)
            with keep_signal_stack():
                self._compiled = core.compile_model(model, 'CPU', settings)
        except RuntimeError as error:
            last = str(error).strip().split('\n')[-1]
            reason = why_unreadable(path, last, ('onnx', 'xml'))
            raise ValueError(f'{path} cannot be read by OpenVINO: {reason}') from error
        shapes = [
            [
                None if side.is_dynamic else side.get_length()
                for side in each.partial_shape
            ]
            for each in model.inputs
        ]
        self._shape = _image_shape(path, shapes)
        files = [self.path]
        if self.path.suffix == '.xml':
            files.append(self.path.with_suffix('.bin'))
        self.size_mib = sum(file.stat().st_size for file in files) / _MIB
        if model.has_rt_info([METADATA_KEY]):
            text = model.get_rt_info([METADATA_KEY]).astype(str)
            self.spec = DeploySpec.from_json(text, str(path))

    def __call__(self, images: Tensor | np.ndarray) -> Outputs:
        """Run a batch; see :class:`Engine`."""
        array = _as_array(images, self._shape, self.path)
        # A copy: the next call writes into the same memory.
        found = self._compiled(array)
        return _as_outputs([np.array(found[port]) for port in self._compiled.outputs])


def load_engine(path: str | Path, threads: int | None = None) -> Engine:
    """Load a file into the engine of its suffix.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the suffix is neither ``.onnx`` nor ``.xml``, or the file is
            damaged.
    """
    suffix = Path(path).suffix
    if suffix == '.onnx':
        return OnnxEngine(path, threads)
    if suffix == '.xml':
        return OpenVinoEngine(path, threads)
    raise ValueError(f'{path}: no engine runs {suffix or "this"}; .onnx or .xml')


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no model {str(path)!r}')
    return path


def _image_shape(path: str | Path, shapes: Sequence[Sequence]) -> list[int | None]:
    """Shape (N, C, H, W) of the one input, None for a free side."""
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            f'{path} takes inputs of shapes {list(map(list, shapes))}, not one of '
            '(N, C, H, W)'
        )
    return [side if isinstance(side, int) else None for side in shapes[0]]


def _as_array(
    images: Tensor | np.ndarray, shape: Sequence[int | None], path: Path | None
) -> np.ndarray:
    if isinstance(images, Tensor):
        images = images.detach().cpu().numpy()
    fits = images.ndim == len(shape) and all(
        side is None or side == given
        for side, given in zip(shape, images.shape, strict=True)
    )
    if not fits:
        wanted = ', '.join('any' if side is None else str(side) for side in shape)
        raise ValueError(
            f'{path} takes images of shape ({wanted}), not {tuple(images.shape)}'
        )
    return np.ascontiguousarray(images, np.float32)


def _as_outputs(arrays: Sequence[np.ndarray]) -> Outputs:
    tensors = tuple(torch.from_numpy(array) for array in arrays)
    return tensors[0] if len(tensors) == 1 else tensors
