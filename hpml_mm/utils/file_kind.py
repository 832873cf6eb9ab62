# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kinds of files by their first bytes, for files that are not what their name says."""

import re
import zipfile
from collections.abc import Container
from pathlib import Path

from .messages import shortened

_HEAD = 512
#: What a file is if it begins so; the first that fits. Spaces before are left out.
_TEXTS = {
    'lfs': (rb'version https://git-lfs', "Git LFS' pointer to a file (git lfs pull)"),
    'html': (rb'(?i)<!doctype html|<html', 'a web page (download the file itself)'),
    'xml': (rb'<\?xml|<net ', 'an XML file'),
    'json': (rb'[\[{]\s*["\]}\[{]', 'a JSON file'),
}
_BINARIES = {
    'safetensors': (rb'(?s).{7}\x00\{', 'a safetensors file'),
    'pickle': (rb'\x80[\x02-\x05]', 'a pickle, or an old checkpoint of PyTorch'),
    'hdf5': (rb'\x89HDF', 'an HDF5 file'),
    'npy': (rb'\x93NUMPY', 'an array of NumPy'),
    'archive': (
        rb'(?s)\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!|.{257}ustar',
        'an archive, or compressed (unpack it)',
    ),
    'image': (rb'\x89PNG|\xff\xd8\xff|GIF8|BM', 'a picture'),
    'tflite': (rb'(?s).{4}TFL3', 'a TensorFlow Lite file'),
    # Protobuf: a version below 32, then a name of the producer, or the graph.
    'onnx': (rb'\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]', 'an ONNX file'),
}


def file_kind(path: str | Path) -> tuple[str, str] | None:
    """Recognise a file by its first bytes.

    Returns:
        A key, such as 'lfs', and a phrase with article; None if it is not known.
    """
    with Path(path).open('rb') as file:
        head = file.read(_HEAD)
    if not head:
        return 'empty', 'an empty file'
    if head.startswith(b'PK\x03\x04'):
        return _zip_kind(path)
    for kinds, start in (
        (_TEXTS, head.lstrip(b'\xef\xbb\xbf \r\n\t')),
        (_BINARIES, head),
    ):
        for key, (pattern, phrase) in kinds.items():
            if re.match(pattern, start):
                return key, phrase
    return None


def _zip_kind(path: str | Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except zipfile.BadZipFile:
        return 'zip', 'a ZIP file, such as a checkpoint of PyTorch, that is truncated'
    if any(name.endswith('/constants.pkl') for name in names):
        return 'torchscript', 'a TorchScript program'
    if any(name.endswith('/data.pkl') for name in names):
        return 'checkpoint', 'a checkpoint of PyTorch'
    return 'zip', 'a ZIP archive (unpack it)'


def why_unreadable(path: str | Path, error: object, own: Container[str] = ()) -> str:
    """Tell in one line why a file could not be read.

    Args:
        path: The file.
        error: Error, or message, of its reader.
        own: Keys of the kinds that the reader is for: such a file is damaged.

    Returns:
        What the file is instead, where its first bytes tell, else the first line of
        the error.
    """
    found = file_kind(path)
    if found is not None and found[0] not in own:
        return f'it is {found[1]}'
    return shortened((str(error).strip().splitlines() or ['it is damaged'])[0])
