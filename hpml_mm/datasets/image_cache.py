# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cache of decoded images, in memory or on disk, that forked loader workers share.

Pixels are one mapping, of memory or of a file without a name: it costs nothing until it
is written, and is gone with its processes. Of a file the system keeps as many pages in
memory as there is room for. Another mapping holds counters and a log of what was
stored. A process keeps its own index of the log and reads on where it stopped when it
misses something, so a hit asks nobody.
"""

import errno
import hashlib
import mmap
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: The log has room for one entry for so many bytes: images are seldom smaller.
BYTES_PER_ENTRY = 16 * 1024
#: Where pixels begin: whole cache lines.
ALIGNMENT = 64

_ENTRY = np.dtype(
    [
        ('key', 'S16'),
        ('size', np.int64),
        ('mtime', np.int64),
        ('offset', np.int64),
        ('shape', np.int64, 3),
    ]
)


class FileState(NamedTuple):
    """Size and modification time of a file, by which a change is noticed."""

    size: int
    mtime: int


class _Stored(NamedTuple):
    state: FileState
    image: np.ndarray


class ImageCache:
    """Images by name, up to a number of bytes, never dropped.

    A training pass reads every image once: with a cache that drops the oldest, one
    that is too small would never hit. This one keeps what came first.

    Processes that are forked after it was made share it, whichever of them stores an
    image. A copy that is pickled, as for workers that are spawned, begins empty and
    has the whole budget to itself.

    Args:
        num_bytes: Room for pixels. The log takes another half a percent, in memory.
        folder: Where the pixels' file is made; None for memory.

    Raises:
        OSError: No file can be made in the folder.
        ValueError: There is no such amount of memory, or it is not above 0.
    """

    def __init__(self, num_bytes: int, folder: str | Path | None = None) -> None:
        if num_bytes <= 0:
            raise ValueError(f'ImageCache: num_bytes={num_bytes} must be above 0')
        self.num_bytes, self.folder = num_bytes, folder
        self._entries = num_bytes // BYTES_PER_ENTRY + 64
        self._file = None  # open as long as the cache is there
        if folder is not None:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        try:
            front = mmap.mmap(-1, ALIGNMENT + self._entries * _ENTRY.itemsize)
            if self._file is not None:
                self._file.truncate(num_bytes)
            number = -1 if self._file is None else self._file.fileno()
            pixels = mmap.mmap(number, num_bytes)
        except (OSError, OverflowError) as error:
            where = 'memory' if folder is None else f'a file in {folder}'
            raise ValueError(
                f'cannot set {num_bytes / 2**30:.1f} GiB of {where} aside for images '
                f'({error}); take a smaller cache_gib'
            ) from error
        # Stored entries, bytes used, whether it was logged that the cache is full.
        self._counters = np.frombuffer(front, np.int64, 3)
        self._log = np.frombuffer(front, _ENTRY, self._entries, ALIGNMENT)
        self._pixels = np.frombuffer(pixels, np.uint8)
        self._lock = multiprocessing.get_context('fork').Lock()
        self._index: dict[bytes, _Stored] = {}
        self._seen = 0

    def __len__(self) -> int:
        """Images stored so far by all processes, older contents included."""
        return int(self._counters[0])

    def get(
        self, name: str, state: FileState, decode: Callable[[], np.ndarray]
    ) -> tuple[np.ndarray, bool]:
        """Get the image of that name, decoded only if it has to be.

        Args:
            name: Key of the image, such as its path.
            state: State of its file. Where it is not the one of the stored image,
                the image is decoded anew and takes the place of the stored one,
                whose memory is not given back.
            decode: Gives the image: uint8, shape (H, W, 3).

        Returns:
            The image, which cannot be written to, and whether this call is the first
            of all processes' that found no room for an image.
        """
        # Names are hashed: those of a few bytes would make the log's entries uneven.
        key = hashlib.blake2b(name.encode(), digest_size=16).digest()
        stored = self._index.get(key)
        if stored is None or stored.state != state:
            self._read_log()
            stored = self._index.get(key)
        if stored is not None and stored.state == state:
            return stored.image, False
        image = decode()
        kept, is_first = self._store(key, state, image)
        if kept is None:
            image.flags.writeable = False
            kept = image
        return kept, is_first

    def _store(
        self, key: bytes, state: FileState, image: np.ndarray
    ) -> tuple[np.ndarray | None, bool]:
        """Copy an image in; None where it does not fit, and whether it is the first."""
        with self._lock:
            count, offset, logged = self._counters.tolist()
            end = offset + _aligned(image.nbytes)
            if count >= self._entries or end > self.num_bytes:
                self._counters[2] = 1
                return None, not logged
            self._counters[1] = end
        # Others may go on meanwhile. A process that is killed here loses the room,
        # and leaves nothing behind that another would take for an image.
        if not self._write(offset, image):
            with self._lock:
                logged = self._counters[2]
                self._counters[1:] = self.num_bytes, 1
            return None, not logged
        with self._lock:
            count = int(self._counters[0])
            if count < self._entries:
                shape = image.shape
                self._log[count] = (key, state.size, state.mtime, offset, shape)
                self._counters[0] = count + 1
        self._read_log()
        return self._view(offset, image.shape), False

    def _write(self, offset: int, image: np.ndarray) -> bool:
        """Write pixels; whether the disk had room, which a mapping cannot tell."""
        if self._file is None:
            self._pixels[offset : offset + image.nbytes] = image.reshape(-1)
            return True
        rest = image.reshape(-1).data
        try:
            while rest:
                done = os.pwrite(self._file.fileno(), rest, offset)
                rest, offset = rest[done:], offset + done
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
        return True

    def _read_log(self) -> None:
        """Index the entries that any process has stored since the last call."""
        with self._lock:
            count = int(self._counters[0])
        for entry in self._log[self._seen : count].tolist():
            key, size, mtime, offset, shape = entry
            image = self._view(offset, tuple(shape))
            # NumPy cuts zeros off the end of a byte string.
            self._index[key.ljust(16, b'\0')] = _Stored(FileState(size, mtime), image)
        self._seen = count

    def _view(self, offset: int, shape: tuple[int, ...]) -> np.ndarray:
        view = self._pixels[offset : offset + int(np.prod(shape))].reshape(shape)
        view.flags.writeable = False
        return view

    def __reduce__(self) -> tuple:
        return ImageCache, (self.num_bytes, self.folder)

    def __deepcopy__(self, memo: dict) -> 'ImageCache':
        # A data set that is copied within a process goes on with the same images.
        return self


def _aligned(number: int) -> int:
    return -(-number // ALIGNMENT) * ALIGNMENT
