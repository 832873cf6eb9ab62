# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A :class:`FaceTable` in one file that vouches for itself.

The file is: a line that names the format; eight bytes with the length of a JSON text;
that text; the levels; and a checksum of all before. It is written beside its place and
moved there in one step, so whoever opens it sees a whole file, also while another
process replaces it. What a power failure leaves of it does not have its checksum.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import numpy as np

from .face_table import FaceTable

_MAGIC = b'hpml_mm faces, format 1\n'
_CHECKSUM = 16


def save_table(table: FaceTable, path: Path, key: str) -> None:
    """Write a table; nothing stays behind if that fails.

    Args:
        table: What to write.
        path: Where; its folder is made.
        key: What to ask for when it is read.

    Raises:
        OSError: It cannot be written.
    """
    about = asdict(table) | {'key': key, 'shape': table.levels.shape}
    del about['levels']
    text = json.dumps(about).encode()
    parts = [
        _MAGIC,
        len(text).to_bytes(8, 'little'),
        text,
        np.ascontiguousarray(table.levels).data,
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            checksum = blake2b(digest_size=_CHECKSUM)
            for part in parts:
                checksum.update(part)
                file.write(part)
            file.write(checksum.digest())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def load_table(path: Path, key: str) -> FaceTable:
    """Read a table; its levels stay in the file until they are needed.

    Args:
        path: The file.
        key: What :func:`save_table` was given.

    Raises:
        OSError: The file is not there or cannot be read.
        ValueError: It is damaged, or has another key.
    """
    # Private pages: torch takes no read-only arrays without a warning.
    content = np.memmap(path, np.uint8, mode='c')
    body, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:].tobytes()
    if body[: len(_MAGIC)].tobytes() != _MAGIC:
        raise ValueError('it is no file of this format')
    if blake2b(body, digest_size=_CHECKSUM).digest() != checksum:
        raise ValueError('its checksum is wrong')
    start = len(_MAGIC) + 8
    length = int.from_bytes(body[len(_MAGIC) : start].tobytes(), 'little')
    about = json.loads(body[start : start + length].tobytes())
    if about.pop('key') != key:
        raise ValueError('the data set has changed since')
    levels = body[start + length :].reshape(about.pop('shape'))
    return FaceTable(levels, **about)
