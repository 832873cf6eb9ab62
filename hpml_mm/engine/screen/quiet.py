# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Loggers whose screen shows warnings, errors and marked lines; their file has all."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, TextIO

from mmengine.logging import MMLogger, print_log

#: ``extra`` of a line that a quiet screen shows though it is no warning.
ON_SCREEN = {'on_screen': True}

# A user cannot mend what one library says to another.
_DEPRECATION = re.compile('deprecat', re.IGNORECASE)
_DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def quiet(logger: logging.Logger) -> Callable[[], None]:
    """Make the screen of a logger quiet; files are left as they are.

    It shows what is marked with :data:`ON_SCREEN`, and each warning and error once,
    but no deprecation.

    Returns:
        A function that undoes this. It does nothing if the logger was quiet before.
    """
    changed = [
        (handler, handler.formatter, _OnScreen())
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
        and not any(isinstance(one, _OnScreen) for one in handler.filters)
    ]
    for handler, _, shown in changed:
        handler.addFilter(shown)
        handler.setFormatter(_PlainLine())
        handler.handleError = partial(_write_failed, handler)  # type: ignore[method-assign]

    def undo() -> None:
        while changed:
            handler, formatter, shown = changed.pop()
            vars(handler).pop('handleError', None)
            handler.removeFilter(shown)
            handler.setFormatter(formatter)

    return undo


@contextmanager
def quiet_screen() -> Iterator[None]:
    """Context in which every logger of MMEngine is quiet, from its first line on.

    Python's own warnings become lines of the log. A logger made within stays quiet.
    """
    original = MMLogger.__init__

    @wraps(original)
    def start(self: MMLogger, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        quiet(self)

    with ExitStack() as stack:
        for logger in list(MMLogger._instance_dict.values()):
            stack.callback(quiet(logger))
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = _log_warning
        stack.callback(setattr, MMLogger, '__init__', original)
        MMLogger.__init__ = start
        yield


class _OnScreen(logging.Filter):
    """Filter of the lines that concern who looks at the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, 'on_screen', False):
            return True
        text = record.getMessage()
        if record.levelno < logging.WARNING or text in self._shown:
            return False
        self._shown.add(text)
        return not _DEPRECATION.search(text)


class _PlainLine(logging.Formatter):
    """Formatter without date and colours; a warning and an error begin with a word."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno < logging.WARNING:
            return text
        return f'{record.levelname.lower()}: {text}'


def _write_failed(handler: logging.StreamHandler, record: logging.LogRecord) -> None:
    """Go on in silence when the reader of a pipe has left, as ``head`` does."""
    if not isinstance(sys.exception(), BrokenPipeError):
        type(handler).handleError(handler, record)
        return
    # The stream keeps what it could not write, and would fail again at each line.
    _forget(handler.stream)
    try:
        print('the reader of the output has left: the run goes on', file=sys.stderr)
    except BrokenPipeError:  # the same pipe has the errors, too
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    """Send to nowhere what is written to a stream."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning of Python in one line, a deprecation to the file alone."""
    level = logging.INFO if issubclass(category, _DEPRECATIONS) else logging.WARNING
    text = ' '.join(str(message).split())
    print_log(f'{text} ({category.__name__} of {filename}:{lineno})', 'current', level)
