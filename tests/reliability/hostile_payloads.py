# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Weights that would run something, each a line of a table."""

import copy
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_files import by_attributes, call, name, text, write
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

Writer = Callable[[Path, dict, Path], None]


@dataclass(frozen=True)
class Case:
    """A file of a stranger.

    Attributes:
        name: File name, which says what is wrong with it.
        write: Writes it, given its path, the content of a good checkpoint, and a
            folder that appears if something runs.
        refused_at: Entrances that must refuse it, others must take it; None for all.
    """

    name: str
    write: Writer
    refused_at: tuple[str, ...] | None = None

    def refused_by(self, entrance: str) -> list[bool]:
        """Return whether each reader of an entrance must refuse it."""
        refused = self.refused_at is None or entrance in self.refused_at
        if entrance == 'imports':  # a cache, a predictor and weights
            return [True, True, refused]
        return [refused]


class Call:
    """Has a function called when it is unpickled."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> tuple:
        return self.called


class Trap:
    """Makes a folder when its state is set."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __setstate__(self, state: dict) -> None:
        os.mkdir(state['marker'])


def python(marker: Path) -> str:
    return f"__import__('os').mkdir({str(marker)!r})"


def saved(make: Callable[[Path], Any], place: str = 'meta', **how: Any) -> Writer:
    """Write a good checkpoint with an object more within it."""

    def write_it(path: Path, good: dict, marker: Path) -> None:
        content = copy.copy(good)
        content[place] = {**content[place], 'x': make(marker)}
        torch.save(content, path, **how)

    return write_it


def with_config(make: Callable[[Path], str], *keys: str) -> Writer:
    """Write a good checkpoint whose config is a text; all three places hold it."""

    def write_it(path: Path, good: dict, marker: Path) -> None:
        content = copy.deepcopy(good)
        body = make(marker)
        content['meta'] |= {'cfg': body, 'config': body}
        content['message_hub']['runtime_info']['cfg'] = body
        torch.save(content, path)

    return write_it


def program(make: Callable[[Path], bytes], legacy: bool = False) -> Writer:
    """Write a pickle of operations as the weights."""

    def write_it(path: Path, good: dict, marker: Path) -> None:
        write(path, b'}' + text('state_dict') + make(marker) + b's', legacy)

    return write_it


def evil_file(marker: Path, file: str = 'evil.py') -> Path:
    """Write a program beside the marker, for a config that names it."""
    path = marker.with_name(file)
    path.write_text(f'{python(marker)}\ndataset_info = {{}}\n')
    return path


def plain_pickle(path: Path, good: dict, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Call(os.mkdir, str(marker)), protocol=5))


def tar(path: Path, good: dict, marker: Path) -> None:
    """The form of before PyTorch 0.2."""
    content = pickle.dumps(Call(os.mkdir, str(marker)), protocol=2)
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as file:
        for part in ('storages', 'tensors', 'pickle'):
            info = tarfile.TarInfo(part)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def torchscript(path: Path, good: dict, marker: Path) -> None:
    torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)).save(str(path))


def zip_bomb(path: Path, good: dict, marker: Path) -> None:
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as file:
        file.writestr('archive/data/999', bytes(10**8))


def claims(path: Path, good: dict, marker: Path) -> None:
    """Write a tensor of a petabyte, of which there are four bytes."""
    storage = b'(X\x07\x00\x00\x00storage' + name('torch.FloatStorage')
    storage += text('0') + text('cpu') + b'\x8a\x07' + (2**48).to_bytes(7, 'little')
    size = b'\x8a\x07' + (2**48).to_bytes(7, 'little') + b'\x85'
    rebuild = name('torch._utils._rebuild_tensor_v2')
    hooks = call(name('collections.OrderedDict'))
    tensor = rebuild + b'(' + storage + b'tQK\x00' + size + b'K\x01\x85\x89' + hooks
    write(path, b'}' + text('state_dict') + b'}' + text('w') + tensor + b'tRss')
    with zipfile.ZipFile(path, 'a') as file:
        file.writestr(f'{file.namelist()[0].split("/")[0]}/data/0', bytes(4))


def safetensors(path: Path, good: dict, marker: Path) -> None:
    evil_file(marker)
    (marker.parent / 'configs').mkdir()
    weights = {key: value.contiguous() for key, value in good['state_dict'].items()}
    save_file(weights, path, {'config': '../evil', 'classes': f'[{python(marker)!r}]'})


def overflown(marker: Path) -> HistoryBuffer:
    """A history with a function of its own."""
    buffer = HistoryBuffer([1.0], [1])
    vars(buffer)['_statistics_methods'] = {'mean': os.mkdir}
    return buffer


def bomb(marker: Path) -> list:
    inner: list = [0] * 10
    for _ in range(9):
        inner = [inner] * 10
    return inner


def typed(kind: str, **arguments: str) -> Callable[[Path], str]:
    """Config whose model is a type that is called with arguments."""

    def text_of(marker: Path) -> str:
        given = {key: value.format(marker=marker) for key, value in arguments.items()}
        return f"default_scope='mmpretrain'\nmodel = {dict(type=kind, **given)!r}"

    return text_of


def poses(metainfo: Callable[[Path], Any]) -> Callable[[Path], str]:
    """Config of a pose model whose keypoints are in a file."""

    def text_of(marker: Path) -> str:
        dataset = dict(type='CocoDataset', metainfo=metainfo(marker), pipeline=[])
        return (
            "default_scope='mmpose'\nmodel = dict(type='TopdownPoseEstimator', "
            "backbone=dict(type='AlexNet'))\n"
            f'test_dataloader = {dict(dataset=dataset)!r}'
        )

    return text_of


WEIGHTS = [
    Case('good.pth', lambda path, good, marker: torch.save(good, path), ()),
    Case('system.pth', saved(lambda m: Call(os.system, f'mkdir {m}'))),
    Case('eval.pth', saved(lambda m: Call(eval, python(m)), 'state_dict')),
    Case('exec.pth', saved(lambda m: Call(exec, python(m)), 'optimizer')),
    Case('setstate.pth', saved(Trap, 'message_hub')),
    Case('mmengine-list.pth', program(lambda m: by_attributes(f'mkdir {m}'))),
    Case(
        'mmengine-list-legacy.pth', program(lambda m: by_attributes(f'mkdir {m}'), True)
    ),
    Case(
        'legacy.pth',
        saved(lambda m: Call(os.mkdir, str(m)), _use_new_zipfile_serialization=False),
    ),
    Case('protocol-4.pth', saved(lambda m: Call(os.mkdir, str(m)), pickle_protocol=4)),
    Case('pickle.pth', plain_pickle),
    Case('tar.pth', tar),
    Case('torchscript.pth', torchscript),
    Case('objects.pth', saved(lambda m: np.array([Call(os.mkdir, str(m))], object))),
    Case('history.pth', saved(overflown)),
    Case('torch-load.pth', program(lambda m: call(name('torch.load'), text(str(m))))),
    Case(
        'partial.pth',
        program(lambda m: call(name('functools.partial'), name('os.mkdir'))),
    ),
    Case('raw-dtype.pth', program(lambda m: call(name('numpy.dtype'), text('V8')))),
    Case('bomb.pth', saved(bomb)),
    Case('zip-bomb.pth', zip_bomb),
    Case('name.safetensors', safetensors, ('--resume', 'auto', 'predict')),
    Case('claims.pth', claims),
]
#: Texts of configs in checkpoints that are good but for them.
CONFIGS = {
    'python': python,
    'base': lambda m: f'_base_ = {str(evil_file(m))!r}',
    'imports': lambda m: f'custom_imports = dict(imports=[{evil_file(m).stem!r}])',
    'system': typed('os.system', command='mkdir {marker}'),
    'scope': typed('mmcv.convert_video', in_file='; mkdir {marker};', out_file=''),
    'module': lambda m: typed(evil_file(m).stem)(m),
    'eval': typed(
        'mmdet.CameraMotionCompensation',
        warp_mode='__import__("os").mkdir("{marker}")',
    ),
    'poses': poses(lambda m: dict(from_file=str(evil_file(m)))),
    'above': poses(lambda m: dict(from_file=f'../{m.parent.name}/{evil_file(m).name}')),
}
CASES = [
    *WEIGHTS,
    *(
        # No other entrance has a use for the text.
        Case(f'config-{key}.pth', with_config(make), ('predict',))
        for key, make in CONFIGS.items()
    ),
]
