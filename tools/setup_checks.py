# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of what an installation would fail for, before the first download.

Each check yields lines: fault and remedy. Standard library only.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

GIB = 2**30
# Measured: 5.6 GiB installed, 1.4 GiB of downloads, which pip keeps twice while it
# works. Without CUDA estimated from the sizes of the wheels: 1.8 and .5 GiB.
VENV_BYTES = {True: 6 * GIB, False: 2 * GIB}
DOWNLOAD_BYTES = {True: 3 * GIB // 2, False: GIB // 2}
# The training of the demo takes 1.1 GiB.
MEMORY_BYTES = 3 * GIB // 2
GLIBC = (2, 28)  # of PyTorch's wheels
PROBE = 'six'  # a small package, which is needed anyway
PROBE_SECONDS = 15


def check_venv(path: Path, version: str | None, below: Sequence[int]) -> Iterator[str]:
    """Check that an environment can be made, or the one that is there can be used."""
    parent = next(one for one in path.parents if one.is_dir())
    place = path if path.is_dir() else parent
    if not os.access(place, os.W_OK | os.X_OK):
        yield f'no right to write to {place}: change its owner, or clone elsewhere.'
    if version is None:
        for name in ('venv', 'ensurepip'):
            if importlib.util.find_spec(name) is None:
                major, minor = sys.version_info[:2]
                yield (
                    f'this Python has no module {name}, so it makes no virtual '
                    f'environment. Debian, Ubuntu: apt install '
                    f'python{major}.{minor}-venv.'
                )
                return
        return
    minor = tuple(map(int, version.split('.')[:2]))
    if not (3, 11) <= minor < tuple(below):  # made by hand
        yield (
            f'{path} was made with Python {version}, and 3.11 to 3.{below[1] - 1} were '
            f'tried. Remove it: rm -rf {path}; then run the same again.'
        )


def check_platform() -> Iterator[str]:
    """Check what PyTorch's wheels are built for."""
    name, version = platform.libc_ver()
    found = tuple(int(one) for one in version.split('.')[:2]) if version else ()
    if platform.system() == 'Linux' and (name != 'glibc' or found < GLIBC):
        yield (
            f'this system has {name or "another C library"} {version}, and PyTorch has '
            'wheels for glibc 2.28 or newer. Take a newer distribution, or a '
            'container: docker run -it python:3.12.'
        )
    if sys.maxsize < 2**32:
        yield 'this Python is one of 32 bit, for which PyTorch has no wheels.'


def check_memory(info: Path = Path('/proc/meminfo')) -> Iterator[str]:
    """Compare free memory with what the demo's training takes."""
    if not info.is_file():
        return
    lines = dict(line.split(':', 1) for line in info.read_text().splitlines())
    free = int(lines['MemAvailable'].split()[0]) * 1024
    if free < MEMORY_BYTES:
        yield (
            f'{free / GIB:.1f} GiB of memory are free, and a training takes '
            f'{MEMORY_BYTES / GIB:.1f} GiB. Stop another program.'
        )


def check_disk(venv: Path, cuda: bool) -> Iterator[str]:
    """Compare free space with what an installation from nothing takes."""
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    cache = Path(os.environ.get('PIP_CACHE_DIR') or home).expanduser().absolute()
    needs = [
        (next(p for p in venv.parents if p.is_dir()), VENV_BYTES[cuda]),
        (Path(tempfile.gettempdir()), DOWNLOAD_BYTES[cuda]),
    ]
    if not os.environ.get('PIP_NO_CACHE_DIR'):
        known = next(p for p in (cache, *cache.parents) if p.is_dir())
        needs.append((known, DOWNLOAD_BYTES[cuda]))
    disks: dict[int, int] = {}
    places: dict[int, Path] = {}
    for path, size in needs:
        disks[device_of(path)] = disks.get(device_of(path), 0) + size
        places.setdefault(device_of(path), path)
    for device, size in disks.items():
        free = shutil.disk_usage(places[device]).free
        if free < size:
            yield (
                f'{places[device]} has {free / GIB:.1f} GiB free, and {size / GIB:.1f} '
                'GiB are needed there. Free some; or let TMPDIR and PIP_CACHE_DIR name '
                'folders on another disk; or do without CUDA, see TORCH_INDEX in the '
                'README.'
            )


def device_of(path: Path) -> int:
    """Number of the file system that holds a folder."""
    return path.stat().st_dev


def check_index(python: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Fetch a small package, with proxy, certificates and pip.conf as they are."""
    if not has_pip(python):
        return
    with tempfile.TemporaryDirectory() as folder:
        options = f'--no-deps --retries 1 --timeout {PROBE_SECONDS} --dest {folder}'
        done = subprocess.run(
            [python, '-m', 'pip', 'download', *options.split(), PROBE],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['no reason'])[-1]
        yield (
            'the package index was not reached '
            f'({reason.removeprefix("ERROR: ")[:120]}). Check network, proxy '
            '(https_proxy) and `pip config list`.'
        )


def has_pip(python: Path) -> bool:
    """True if a Python starts and has pip; Debian's own has none."""
    command = [python, '-I', '-c', 'import pip']
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def check_torch_index(index: str) -> Iterator[str]:
    """Look for PyTorch in the index of its wheels without CUDA."""
    page = f'{index.rstrip("/")}/torch/'
    try:
        if '://' not in index or index.startswith('file:'):
            Path(page.removeprefix('file://')).stat()
        else:
            urllib.request.urlopen(page, timeout=PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        yield (
            f'TORCH_INDEX={index} has no {page} ({error}). For PyTorch without CUDA it '
            'is https://download.pytorch.org/whl/cpu; leave it out for CUDA.'
        )


def has_gpu() -> bool:
    """True where a driver of NVIDIA's is."""
    return bool(shutil.which('nvidia-smi')) or Path('/dev/nvidiactl').exists()


def torch_index() -> str | None:
    """Index of PyTorch without CUDA, if there is one and no GPU; tells which it is."""
    index = os.environ.get('TORCH_INDEX', '').strip()
    if has_gpu():
        return None
    if not index:
        print(
            'setup: no GPU here: TORCH_INDEX=https://download.pytorch.org/whl/cpu '
            'would save 4 GB'
        )
        return None
    print(
        'setup: no GPU here: PyTorch comes without CUDA. For CUDA: make clean, and the '
        'same without TORCH_INDEX'
    )
    return index
