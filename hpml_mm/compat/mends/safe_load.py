# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Load checkpoints without running what is in them.

MMEngine asks torch for a safe load and, exactly when that refuses a file, loads it
again in the unsafe way. It also reads ``meta.config`` of a resumed checkpoint as
Python.
"""

import os
import re
from collections.abc import MutableMapping
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import numpy as np
import torch

TRUST = 'HPML_MM_TRUST'


def mend(module: ModuleType) -> None:
    """Replace the loader of ``mmengine.runner.checkpoint``, where it falls back."""
    allowed = module.get_torch_safe_globals

    def _safe_torch_load(
        file: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> Any:
        return load_safely(file, map_location, [*allowed(), *_NUMPY_TYPES])

    module._safe_torch_load = _safe_torch_load  # type: ignore[attr-defined]


# Of the arrays and numbers in what MMEngine saves, such as histories of losses.
_NUMPY_TYPES = [
    getattr(np.dtypes, name) for name in np.dtypes.__all__ if name != 'ObjectDType'
]


def load_safely(file: Any, map_location: Any, allowed: list) -> Any:
    """Load a file of ``torch.save`` that holds tensors, numbers and containers alone.

    Args:
        file: Path or open file.
        map_location: Device, as ``torch.load`` takes it.
        allowed: Further classes and functions that may be in it.

    Raises:
        ValueError: It holds another object, which it could run; the message names it
            and says how to allow the file.
    """
    if _trusted(file):
        return torch.load(file, map_location, weights_only=False)
    try:
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(file, map_location, weights_only=True)
    except UnpicklingError as error:
        found = re.search(r'GLOBAL ([\w.]+)', str(error))
        what = f'the object {found[1]}' if found else 'more than weights'
        raise ValueError(
            f'{file} holds {what}, which may run when it is loaded, and is refused. '
            f'If you trust it: {TRUST}={file}'
        ) from None
    _forget_config(checkpoint)
    return checkpoint


def _trusted(file: Any) -> bool:
    """Return whether the environment names this very file."""
    named = [path for path in os.environ.get(TRUST, '').split(os.pathsep) if path]
    if not isinstance(file, str | os.PathLike):
        return False
    return os.path.realpath(file) in map(os.path.realpath, named)


def _forget_config(checkpoint: Any) -> None:
    """Drop the text that MMEngine would read as Python, to compare GPU numbers."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, MutableMapping) else None
    if isinstance(meta, MutableMapping):
        meta.pop('config', None)
