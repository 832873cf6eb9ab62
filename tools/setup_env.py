# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make ``.venv`` and install everything into it; a second run does nothing.

``make demo`` and ``make test`` run this before anything is installed, so it needs
the standard library only, and its first lines run on any Python 3.6 or newer.
"""

import shutil
import sys

MIN_PYTHON = (3, 11)


def refuse_old_python():
    """Stop before anything that an old Python cannot run, this file included."""
    if sys.version_info[:2] >= MIN_PYTHON:
        return
    names = [f'python3.{minor}' for minor in (11, 12, 13, 14)]
    found = [name for name in names if shutil.which(name)]
    remedy = f'Add PYTHON={(found or names)[0]} to the make command.'
    if not found:
        remedy = 'Install it (Debian, Ubuntu: apt install python3.11-full). ' + remedy
    sys.exit(
        f'setup: error: Python {sys.version_info[0]}.{sys.version_info[1]} is too old, '
        f'3.11 or newer is needed. {remedy}'
    )


refuse_old_python()

import argparse
import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
# Measured: 5.5 GiB installed, and 1.4 GiB of downloads, which pip keeps twice while
# it works.
VENV_BYTES = 6 * GIB
DOWNLOAD_BYTES = 3 * GIB // 2
IMPORT_CHECK = (
    'import torch, torchvision, cv2, albumentations, xtcocotools.mask, '
    'hpml_mm, mmpretrain.models, mmdet.models, mmpose.models'
)
# What the user reads while a step runs, and the arguments of ``pip install``.
BASE_STEPS = (
    ('PyTorch, OpenMMLab and their requirements', '-r requirements.txt'),
    (
        'xtcocotools, compiled against the numpy just installed',
        # A cached wheel may be compiled against another numpy.
        '--no-deps --no-build-isolation --no-cache-dir --no-binary=xtcocotools '
        '-r requirements/from-source.txt',
    ),
    (
        'MMPose and MMDetection without their dependencies',
        '--no-deps -r requirements/no-deps.txt',
    ),
    ('this project', '--no-deps --no-build-isolation -e .'),
)


class SetupError(Exception):
    """Error for the user: fault and remedy, in one line."""


class Venv:
    """Virtual environment, complete, half-made or absent.

    Args:
        path: Its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / 'bin' / 'python'
        self.stamp = path / 'hpml_mm-setup.json'

    def version(self) -> str | None:
        """Version of its Python, or None where that or pip does not start."""
        code = 'import sys, pip; print("%d.%d.%d" % sys.version_info[:3])'
        try:
            result = subprocess.run(
                [self.python, '-I', '-c', code], capture_output=True, text=True
            )
        except OSError:
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    def site_packages(self) -> Path:
        """Folder that pip installs to."""
        found = sorted(self.path.glob('lib/python3*/site-packages'))
        return found[-1] if found else self.path / 'lib'

    def distributions(self) -> list[str]:
        """Names and versions, ``name-version``, of what is installed."""
        return sorted(path.stem for path in self.site_packages().glob('*.dist-info'))

    def is_ready(self, extras: bool) -> bool:
        """True if an earlier run finished, and what it installed is still there."""
        try:
            stamp = json.loads(self.stamp.read_text())
            missing = set(stamp['distributions']) - set(self.distributions())
            known = stamp['fingerprints']
        except (OSError, ValueError, KeyError, TypeError):  # absent or cut short
            return False
        return not missing and fingerprint(self.version(), extras) in known

    def write_stamp(self, extras: bool) -> None:
        """Note that everything is installed; the last thing a run does."""
        version = self.version()
        prints = [fingerprint(version, more) for more in {False, extras}]
        stamp = {'fingerprints': prints, 'distributions': self.distributions()}
        partial = self.stamp.with_suffix('.part')
        partial.write_text(json.dumps(stamp, indent=1))
        partial.replace(self.stamp)

    def prune(self) -> None:
        """Remove what a killed pip left and pip takes for installed."""
        site = self.site_packages()
        broken = [p for p in site.glob('*.dist-info') if not (p / 'RECORD').is_file()]
        for path in [*broken, *site.glob('~*')]:
            shutil.rmtree(path, ignore_errors=True)


def extra_files() -> list[Path]:
    return sorted(ROOT.glob('requirements/extras/*.txt'))


def fingerprint(python_version: str | None, extras: bool) -> str:
    """Hash of everything that decides what is installed, and where."""
    files = [Path(__file__), ROOT / 'requirements.txt']
    files += sorted(ROOT.glob('requirements/*.txt'))
    files += extra_files() if extras else []
    digest = hashlib.sha256(f'{ROOT}\n{python_version}\n'.encode())
    for file in files:
        digest.update(f'\n{file.name}\n'.encode() + file.read_bytes())
    return digest.hexdigest()


def steps(venv: Venv, extras: bool) -> Iterator[tuple[str, str]]:
    """Iterate over all steps in order."""
    yield from BASE_STEPS
    if extras:
        # With the base set, so that pip cannot break it.
        files = [ROOT / 'requirements.txt', *extra_files()]
        arguments = ' '.join(f'-r {file.relative_to(ROOT)}' for file in files)
        yield 'the optional extras', arguments
    # The build that needs no libGL over the other one, at the same version.
    names = [name.partition('-') for name in venv.distributions()]
    version = next(version for name, _, version in names if name == 'opencv_python')
    yield (
        'OpenCV without a display',
        f'--no-deps --force-reinstall opencv-python-headless=={version}',
    )


def install(venv: Venv, extras: bool) -> None:
    """Bring the environment from any state to the wanted one."""
    venv.prune()
    check_before(venv)
    if venv.version() is None:
        print(f'setup: making {venv.path}', flush=True)
        run_step(
            [sys.executable, '-m', 'venv', '--clear', str(venv.path)],
            'making the virtual environment failed',
        )
    python = str(venv.python)
    total = len(BASE_STEPS) + extras + 1
    for number, (title, arguments) in enumerate(steps(venv, extras), 1):
        print(f'setup: [{number}/{total}] {title}', flush=True)
        command = [python, '-m', 'pip', 'install', *arguments.split()]
        run_step(command, f'installing {title} failed')
    print('setup: checking that all of it imports', flush=True)
    run_step(
        [python, '-I', '-W', 'ignore', '-c', IMPORT_CHECK],
        f'the installed packages do not work; rm -rf {venv.path} may help',
    )
    venv.write_stamp(extras)


def run_step(command: Sequence[str], failure: str) -> None:
    """Run a command and show its output.

    Raises:
        SetupError: It failed; with ``failure``, the last error line it printed, and a
            remedy.
    """
    env = os.environ | {'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_INPUT': '1'}
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
    ) as process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            lines.append(line.strip())
    if process.returncode == 0:
        return
    lines = lines or [f'exit status {process.returncode}']
    errors = [line for line in lines if line.lower().startswith('error')]
    reason = (errors or lines)[-1].removeprefix('ERROR: ')
    remedy = 'The lines above say more'
    if any('connection' in line.lower() for line in lines):
        remedy = 'The package index was not reached: check network, proxy and pip.conf'
    raise SetupError(
        f'{failure}: {reason}. {remedy}; afterwards the same command goes on where it '
        'stopped.'
    )


def check_before(venv: Venv) -> None:
    """Check the prerequisites before the installation.

    Raises:
        SetupError: Something is missing, with what installs it.
    """
    version = venv.version()
    if version is None:
        check_venv_module()
    elif tuple(map(int, version.split('.')[:2])) < MIN_PYTHON:  # made by hand
        raise SetupError(
            f'{venv.path} was made with Python {version}, 3.11 or newer is needed. '
            f'Remove it: rm -rf {venv.path}; then run the same again.'
        )
    names = {name.split('-')[0] for name in venv.distributions()} if version else set()
    if 'xtcocotools' not in names:
        check_compiler()
    if 'torch' not in names:
        check_disk(venv.path)


def apt_name(part: str) -> str:
    return f'python{sys.version_info[0]}.{sys.version_info[1]}-{part}'


def check_venv_module() -> None:
    """Check for ensurepip, which Debian packages separately."""
    for name in ('venv', 'ensurepip'):
        if importlib.util.find_spec(name) is None:
            raise SetupError(
                f'this Python has no module {name}, so it makes no virtual '
                f'environment. Debian, Ubuntu: apt install {apt_name("venv")}.'
            )


def check_compiler() -> None:
    """Check for a C compiler: xtcocotools' wheel is for numpy 1."""
    compiler = os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc'
    name = shlex.split(compiler)[0]
    if shutil.which(name) is None:
        raise SetupError(
            f'no C compiler {name!r}, and xtcocotools is built from source. '
            'Debian, Ubuntu: apt install gcc libc6-dev; or name another: CC=clang.'
        )
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        raise SetupError(
            f'no {header}, which building xtcocotools needs. '
            f'Debian, Ubuntu: apt install {apt_name("dev")}.'
        )


def check_disk(venv: Path) -> None:
    """Compare free space with what an installation from nothing takes."""
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    cache = Path(os.environ.get('PIP_CACHE_DIR') or home).expanduser().absolute()
    needs = (
        (venv.parent, VENV_BYTES),
        (Path(tempfile.gettempdir()), DOWNLOAD_BYTES),
        (next(p for p in (cache, *cache.parents) if p.is_dir()), DOWNLOAD_BYTES),
    )
    needed: dict[int, int] = {}
    for path, size in needs:
        needed[device_of(path)] = needed.get(device_of(path), 0) + size
    for path, _ in needs:
        size = needed[device_of(path)]
        free = shutil.disk_usage(path).free
        if free < size:
            raise SetupError(
                f'{path} has {free / GIB:.1f} GiB free, and {size / GIB:.1f} GiB are '
                'needed there. Free some; or let TMPDIR and PIP_CACHE_DIR name folders '
                'on another disk.'
            )


def device_of(path: Path) -> int:
    """Number of the file system that holds a folder."""
    return path.stat().st_dev


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='its folder')
    parser.add_argument('--extras', action='store_true', help='optional extras too')
    args = parser.parse_args(arguments)
    venv = Venv(args.venv.absolute())
    try:
        if venv.is_ready(args.extras):
            return 0
        install(venv, args.extras)
    except SetupError as error:
        print(f'setup: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('setup: stopped; the same command goes on from here', file=sys.stderr)
        return 130
    print('setup: done')
    return 0


if __name__ == '__main__':
    sys.exit(main())
