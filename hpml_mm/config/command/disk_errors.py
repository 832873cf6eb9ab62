# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors of a disk that is full, locked or of no use, told in one line."""

import errno
from os import PathLike

# Number of the error -> reason and remedy.
_REMEDIES = {
    errno.ENOSPC: 'the disk is full: free some space, or choose another folder',
    errno.EDQUOT: 'your quota of the disk is used up: delete something of yours, or '
    'choose another folder',
    errno.EROFS: 'the disk can only be read from: choose another folder',
    errno.EACCES: 'this user lacks the right: change the rights, or choose another '
    'folder',
    errno.EPERM: 'this user lacks the right: change the rights, or choose another '
    'folder',
    errno.EISDIR: 'a folder is in its place: rename or delete it',
    errno.ELOOP: 'links lead in a circle: mend them, or choose another folder',
    errno.ENAMETOOLONG: 'the name is too long: choose a shorter one',
    errno.EIO: 'the disk fails: look into the log of the system, and choose another '
    'folder',
}


class WriteError(OSError):
    """A file could not be written, and what was there before is untouched."""

    @classmethod
    def of(cls, error: OSError, path: str | PathLike) -> 'WriteError':
        """Tell an error of the disk with the place and the remedy."""
        why = _REMEDIES[error.errno or 0]
        return cls._made(f'{path} could not be written: {why}', error)

    def with_advice(self, advice: str) -> 'WriteError':
        """Add a part of a sentence."""
        return self._made(f'{self}; {advice}', self)

    @classmethod
    def _made(cls, text: str, error: OSError) -> 'WriteError':
        made = cls(text)
        made.errno = error.errno
        return made


def find_disk_error(error: BaseException | None) -> OSError | None:
    """Find the error of the disk that an error is or was raised for.

    torch raises a RuntimeError while the disk's own is on its way.
    """
    if isinstance(error, RuntimeError):
        error = error.__cause__ or error.__context__
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        return error
    return None


def explain(error: OSError) -> str:
    """Tell an error of the disk in one line, with the remedy."""
    if isinstance(error, WriteError):
        return str(error)
    place = f'{error.filename}: ' if error.filename else ''
    return f'{place}{_REMEDIES[error.errno or 0]}'
