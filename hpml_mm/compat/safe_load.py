# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Load checkpoints without running what is in them.

``torch.load(weights_only=True)`` calls nothing but what is on a list. MMEngine's list
has ``getattr`` and classes with functions, by which a file reaches ``os.system``. This
one has stand-ins, which become what they stand for when all is read.
"""

import os
import re
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, timezone
from pathlib import PurePosixPath, PureWindowsPath
from pickle import UnpicklingError
from types import SimpleNamespace
from typing import Any

import torch
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from .checkpoint_data import Buffer, Factory, Method, OldSettings, Settings, as_data
from .stand_ins import NUMPY_STAND_INS, PlainDict

TRUST = 'HPML_MM_TRUST'

_ALLOWED: dict[str, type] = {
    **NUMPY_STAND_INS,
    'mmengine.logging.history_buffer.HistoryBuffer': Buffer,
    'builtins.getattr': Method,
    # Of data sets' metainfo, and of MMCV 1 and its configs.
    'mmengine.config.config.ConfigDict': Settings,
    'mmengine.config.config.Config': Settings,
    'mmcv.utils.config.Config': Settings,
    'mmcv.utils.config.ConfigDict': OldSettings,
    'addict.addict.Dict': OldSettings,
    'collections.defaultdict': PlainDict,
    **{
        f'builtins.{kind.__name__}': Factory
        for kind in (bool, dict, float, int, list, str, tuple)
    },
    'builtins.slice': slice,
    'argparse.Namespace': Namespace,
    'types.SimpleNamespace': SimpleNamespace,
    'pathlib.PosixPath': PurePosixPath,
    'pathlib.WindowsPath': PureWindowsPath,
    **{
        f'{kind.__module__}.{kind.__name__}': kind
        for kind in (date, datetime, time, timedelta, timezone)
    },
}


class RefusedFileError(ValueError):
    """Error for a checkpoint that was not loaded; it names the file and a remedy.

    Args:
        message: What is wrong with the file.
        unsafe: True where it is whole, but could run something.
    """

    def __init__(self, message: str, unsafe: bool = False) -> None:
        super().__init__(message)
        self.unsafe = unsafe


def load_safely(file: Any, map_location: Any = None) -> Any:
    """Load a file of ``torch.save`` that holds tensors, numbers and containers alone.

    Args:
        file: Path or open file.
        map_location: Device, as ``torch.load`` takes it.

    Raises:
        FileNotFoundError: There is no such file.
        RefusedFileError: It holds another object, which it could run; the message
            names it and says how to allow the file. Or it is damaged.
    """
    if trusted(file):
        return torch.load(file, map_location, weights_only=False)
    name = file if isinstance(file, str | os.PathLike) else 'the checkpoint'
    try:
        size = _check_size(file)
        with _only(_ALLOWED):
            content = torch.load(file, map_location, weights_only=True)
        checkpoint = as_data(content, size)
        _check_form(checkpoint)
    except FileNotFoundError:
        raise
    except UnpicklingError as error:
        if 'Unsupported operand' in str(error):
            raise RefusedFileError(
                f'{name} cannot be read as a checkpoint: it is damaged, or a pickle of '
                'another kind than torch.save writes'
            ) from error
        found = re.search(r'GLOBAL ([\w.]+)|unrecognized function (.{,60})', str(error))
        what = f'the object {found[1] or found[2]}' if found else 'more than weights'
        raise RefusedFileError(
            f'{name} holds {what}, which may run when it is loaded, and is refused. '
            f'If you trust it: {TRUST}={name}',
            unsafe=True,
        ) from None
    except Exception as error:  # bytes of any kind may come: so may any error
        reason = _short(error)
        raise RefusedFileError(
            f'{name} cannot be read as a checkpoint: {reason}'
        ) from error
    return checkpoint


def trusted(file: Any) -> bool:
    """Return whether the environment names this very file."""
    named = [path for path in os.environ.get(TRUST, '').split(os.pathsep) if path]
    if not isinstance(file, str | os.PathLike):
        return False
    return os.path.realpath(file) in map(os.path.realpath, named)


@contextmanager
def _only(allowed: Mapping[str, type]) -> Iterator[None]:
    """Have torch allow these names, beside those that the user told torch to allow."""
    before = get_safe_globals()
    others = [one for one in before if _name(one) not in allowed]
    clear_safe_globals()
    add_safe_globals([*others, *((kind, name) for name, kind in allowed.items())])
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def _name(allowed: Any) -> str:
    if isinstance(allowed, tuple):
        return allowed[1]
    return f'{allowed.__module__}.{allowed.__qualname__}'


def _check_size(file: Any) -> int:
    """Refuse a ZIP file that would be much larger when it is unpacked.

    Returns:
        Size of the file in bytes; of an open one too.
    """
    if isinstance(file, str | os.PathLike):
        size = os.stat(file).st_size
    else:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > size:
            raise ValueError(
                f'it would unpack {size} bytes to {unpacked}; checkpoints are not '
                'compressed'
            )
    if not isinstance(file, str | os.PathLike):
        file.seek(0)
    return size


def _check_form(checkpoint: Any) -> None:
    """Refuse what is no dict of weights, or of weights and notes."""
    kind = type(checkpoint).__name__
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f'it holds a {kind}, not a dict of weights')
    for key in ('state_dict', 'meta', 'message_hub'):
        part = checkpoint.get(key, {})
        if not isinstance(part, Mapping) and part is not None:
            raise ValueError(f'its {key} is a {type(part).__name__}, not a dict')
    weights = checkpoint.get('state_dict', checkpoint)
    wrong = next((key for key in weights or () if not isinstance(key, str)), None)
    if wrong is not None:
        raise ValueError(f'a weight has the name {wrong!r:.40}, not a text')


def _short(error: Exception) -> str:
    """First line of an error, or its kind where it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    kind = f'{type(error).__name__}: ' if not isinstance(error, ValueError) else ''
    return f'{kind}{lines[0]}'[:200]
