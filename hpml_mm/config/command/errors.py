# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors that a user can mend, in one line."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb

from .disk_errors import explain, find_disk_error

USER_ERROR = 2
DEBUG = 'HPML_MM_DEBUG'
_MAY_BE_USERS = (OSError, ValueError, KeyError, ImportError, RuntimeError)
_PICTURE_PACKAGES = ('cv2', 'PIL')
_PACKAGE = Path(__file__).resolve().parents[2]
# Research beside the package refuses as the package does.
_OWN = (_PACKAGE, _PACKAGE.with_name('projects'))


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors that a user can mend into one line and exit code 2.

    These are missing files, a disk that is full or may not be written to, pictures that
    OpenCV or Pillow refuses, and what this package itself refuses. All else is a bug
    and keeps its traceback; ``HPML_MM_DEBUG=1`` shows every traceback.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get(DEBUG) or not is_user_error(error):
            raise
        rank = int(os.environ.get('RANK', 0))
        where = f' in process {rank}' if rank else ''
        text = error.args[0] if isinstance(error, KeyError) else error
        if (failed := find_disk_error(error)) is not None:
            text = explain(failed)
        elif _is_of_picture(error):
            text = _picture_text(error)
        elif isinstance(error, FileNotFoundError) and error.filename:
            text = f'there is no {str(error.filename)!r}: correct the path'
        print(f'error{where}: {text}', file=sys.stderr)
        sys.exit(USER_ERROR)


def is_user_error(error: BaseException) -> bool:
    """True for a missing file, a full disk, an unknown type, or an own refusal."""
    if find_disk_error(error) is not None or _is_of_picture(error):
        return True
    if not isinstance(error, _MAY_BE_USERS):
        return False
    if isinstance(error, FileNotFoundError | FileExistsError | NotADirectoryError):
        return True
    if type(error).__module__.split('.')[0] == _PACKAGE.name:
        return True  # a loader's worker raised it, and torch raises it again here
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    origin = Path(frames[-1]).resolve() if frames else Path()
    if isinstance(error, KeyError):
        # An unknown type. Where nothing has imported MMEngine, none was asked for.
        builders = sys.modules.get('mmengine.registry.build_functions')
        path = getattr(builders, '__file__', None)
        return path is not None and origin == Path(path).resolve()
    return any(folder in origin.parents for folder in _OWN)


def _is_of_picture(error: BaseException) -> bool:
    """True for what OpenCV or Pillow refuses."""
    if type(error).__module__.split('.')[0] in _PICTURE_PACKAGES:
        return True
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    # A truncated picture is a plain OSError of Pillow.
    origin = Path(frames[-1]) if frames else Path()
    return isinstance(error, OSError) and origin.parent.name == 'PIL'


def _picture_text(error: BaseException) -> str:
    # A loader's worker hands over its traceback; its last line tells.
    text = str(error).strip().splitlines()[-1]
    text = text.removeprefix(f'{type(error).__module__}.{type(error).__name__}: ')
    return (
        f'a picture cannot be read or changed: {text}; replace or delete it. {DEBUG}=1 '
        'shows which step it was'
    )
