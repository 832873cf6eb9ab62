# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ways in which a file is damaged."""

import gzip
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Bytes = Callable[[bytes], bytes]

_PIXEL = (
    b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00'
    b'\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00'
    b'\x00\x00\x00IEND\xaeB`\x82'
)


def _flipped(place: float) -> Bytes:
    """Turn all bits of one byte."""

    def flip(data: bytes) -> bytes:
        at = min(int(len(data) * place), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

    return flip


def _array() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3))
    return file.getvalue()


#: Of any kind of file.
OF_ALL: dict[str, Bytes] = {
    'empty': lambda data: b'',
    'first byte alone': lambda data: data[:1],
    'cut at 10 %': lambda data: data[: len(data) // 10],
    'cut at 50 %': lambda data: data[: len(data) // 2],
    'cut at 90 %': lambda data: data[: len(data) * 9 // 10],
    'zeros': lambda data: bytes(len(data)),
    'second half zeros': lambda data: (
        data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    ),
    'first byte flipped': _flipped(0.0),
    'byte flipped at 5 %': _flipped(0.05),
    'byte flipped at 50 %': _flipped(0.5),
    'byte flipped at 95 %': _flipped(0.95),
    'a web page': lambda data: b'<!DOCTYPE html><html><body>404</body></html>',
    "Git LFS' pointer": lambda data: (
        b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'
    ),
    'compressed': gzip.compress,
    'a picture': lambda data: _PIXEL,
    'arrays of NumPy': lambda data: _array(),
    'text': lambda data: b'to be or not to be\n' * 20,
    'deeply nested JSON': lambda data: b'[' * 200_000 + b']' * 200_000,
    'an empty object': lambda data: b'{}',
    'NaN as JSON': lambda data: b'NaN',
    'noise': lambda data: np.random.default_rng(0).bytes(4096),
}


def _utf16(data: bytes) -> bytes:
    return data.decode().encode('utf-16')


#: Of a text, whose values may be read all the same.
OF_TEXTS: dict[str, Bytes] = {
    'UTF-16': _utf16,
    'a byte of Latin-1': lambda data: (
        data[: len(data) // 2] + b'\xe9' + data[len(data) // 2 :]
    ),
    'a mark of the byte order': lambda data: b'\xef\xbb\xbf' + data,
    'lines of Windows': lambda data: data.replace(b'\n', b'\r\n'),
    'lines of old Macs': lambda data: data.replace(b'\n', b'\r'),
    'a byte of zero': lambda data: (
        data[: len(data) // 2] + b'\0' + data[len(data) // 2 :]
    ),
    'the first number NaN': lambda data: _first_number(data, b'NaN'),
    'the first number huge': lambda data: _first_number(data, b'1e999'),
    'the first number of many digits': lambda data: _first_number(data, b'9' * 5000),
    'the first number negative': lambda data: _first_number(data, b'-7'),
    'the first number a word': lambda data: _first_number(data, b'seven'),
}


def _first_number(data: bytes, text: bytes) -> bytes:
    """Put a text in place of the first number, which may be in quotes."""
    return re.sub(rb'(?<=[\s:,\[])\d+(\.\d+)?(?=[\s,\]}])', text, data, count=1)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _nothing(path: Path) -> None:
    path.unlink()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to('nowhere')


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _forbidden(path: Path) -> None:
    path.chmod(0)


#: Of the place where a file should be.
OF_PLACES: dict[str, Callable[[Path], None]] = {
    'a folder': _folder,
    'nothing there': _nothing,
    'a link to nothing': _dangling,
    'a link to itself': _loop,
    'a pipe': _pipe,
    'not to be read': _forbidden,
}


def png_of(width: int, height: int) -> bytes:
    """Make a PNG whose head claims a size, with next to no pixels."""
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = [(b'IHDR', head), (b'IDAT', zlib.compress(b'\0' * 64)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body))
        + name
        + body
        + struct.pack('>I', zlib.crc32(name + body))
        for name, body in parts
    )


def bmp_of(width: int, height: int) -> bytes:
    """Make a BMP whose head claims a size."""
    return struct.pack(
        '<2sIHHIIiiHHIIiiII', b'BM', 90, 0, 0, 54, 40, width, height, 1, 24, *(0,) * 6
    ) + bytes(36)


def pgm_of(width: int, height: int) -> bytes:
    """Make a PGM whose head claims a size."""
    return f'P5\n{width} {height}\n255\n'.encode() + bytes(36)


#: Heads that claim more than there is, by the suffix of the file.
BOMBS = {
    '.png': [png_of(60_000, 60_000), png_of(2**31 - 1, 2**31 - 1), png_of(0, 9)],
    '.bmp': [bmp_of(60_000, 60_000), bmp_of(-5, 10), bmp_of(2**31 - 1, 1)],
    '.pgm': [pgm_of(60_000, 60_000), pgm_of(10**30, 1), pgm_of(0, 0)],
    '.safetensors': [
        struct.pack('<Q', 2**62) + b'{}',
        struct.pack('<Q', 2**63 + 5) + b'{}',
        struct.pack('<Q', 68)
        + b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,16]}}  '
        + bytes(16),
    ],
}
