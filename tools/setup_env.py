# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make ``.venv`` and install everything into it; a second run finds nothing to do.

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
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_checks import (
    SetupError,
    check_compiler,
    check_disk,
    check_python_of_venv,
    check_venv_module,
    reason_of,
)

ROOT = Path(__file__).resolve().parents[1]
IMPORT_CHECK = (
    'import torch, torchvision, cv2, albumentations, xtcocotools.mask, '
    'hpml_mm, mmpretrain.models, mmdet.models, mmpose.models'
)


@dataclass(frozen=True)
class Step:
    """One call of ``pip install``.

    Args:
        title: What the user reads while it runs.
        arguments: Arguments of ``pip install``.
    """

    title: str
    arguments: tuple[str, ...]


BASE_STEPS = (
    Step('PyTorch, OpenMMLab and their requirements', ('-r', 'requirements.txt')),
    Step(
        'xtcocotools, compiled against the numpy just installed',
        (
            '--no-deps',
            '--no-build-isolation',
            # A cached wheel may be compiled against another numpy.
            '--no-cache-dir',
            '--no-binary=xtcocotools',
            *('-r', 'requirements/from-source.txt'),
        ),
    ),
    Step(
        'MMPose and MMDetection without their dependencies',
        ('--no-deps', '-r', 'requirements/no-deps.txt'),
    ),
    Step('this project', ('--no-deps', '--no-build-isolation', '-e', '.')),
)


def extra_files(root: Path = ROOT) -> list[Path]:
    """Requirement files of the optional extras, one an extra."""
    return sorted((root / 'requirements' / 'extras').glob('*.txt'))


def extras_step(root: Path = ROOT) -> Step:
    """All extras in one call, with the base set so that pip cannot break it."""
    files = ['requirements.txt', *(str(f.relative_to(root)) for f in extra_files(root))]
    return Step('the optional extras', tuple(x for f in files for x in ('-r', f)))


def fingerprint(python_version: str, extras: bool, root: Path = ROOT) -> str:
    """Hash of all that decides what is installed, and where."""
    files = [Path(__file__), root / 'requirements.txt']
    files += sorted((root / 'requirements').glob('*.txt'))
    if extras:
        files += extra_files(root)
    digest = hashlib.sha256(f'{root}\n{python_version}\n'.encode())
    for file in files:
        digest.update(f'\n{file.name}\n'.encode() + file.read_bytes())
    return digest.hexdigest()


class Venv:
    """The virtual environment, whole, half-made or absent.

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
        """Where pip installs to."""
        found = sorted(self.path.glob('lib/python3*/site-packages'))
        return found[-1] if found else self.path / 'lib'

    def distributions(self) -> list[str]:
        """Folder names ``name-version.dist-info`` of what is installed."""
        return sorted(p.name for p in self.site_packages().glob('*.dist-info'))

    def is_ready(self, extras: bool) -> bool:
        """Whether an earlier run finished, and what it installed is still there."""
        version = self.version()
        if version is None or not self.stamp.is_file():
            return False
        try:
            stamp = json.loads(self.stamp.read_text())
        except ValueError:  # cut short
            return False
        wanted = fingerprint(version, extras)
        known = stamp.get('fingerprints', [])
        missing = set(stamp.get('distributions', [])) - set(self.distributions())
        return wanted in known and not missing

    def write_stamp(self, extras: bool) -> None:
        """Note that everything is installed; the last thing a run does."""
        version = self.version() or ''
        prints = [fingerprint(version, False)]
        if extras:
            prints.append(fingerprint(version, True))
        stamp = {'fingerprints': prints, 'distributions': self.distributions()}
        partial = self.stamp.with_suffix('.part')
        partial.write_text(json.dumps(stamp, indent=1))
        partial.replace(self.stamp)

    def create(self) -> None:
        """Make it, over whatever an interrupted run left."""
        run_step(
            [sys.executable, '-m', 'venv', '--clear', str(self.path)],
            'making the virtual environment failed',
        )

    def prune(self) -> None:
        """Remove what a killed pip left, which pip itself takes for installed."""
        site = self.site_packages()
        broken = [p for p in site.glob('*.dist-info') if not (p / 'RECORD').is_file()]
        for path in [*broken, *site.glob('~*')]:
            shutil.rmtree(path, ignore_errors=True)

    def pip_install(self, step: Step) -> None:
        """Run one step, with pip's own progress on the screen."""
        command = [str(self.python), '-m', 'pip', 'install', *step.arguments]
        run_step(command, f'installing {step.title} failed')

    def check_imports(self) -> None:
        """Import every package that has failed to on some set of versions."""
        run_step(
            [str(self.python), '-I', '-W', 'ignore', '-c', IMPORT_CHECK],
            f'the installed packages do not work; rm -rf {self.path} may help',
        )


def run_step(command: Sequence[str], failure: str) -> None:
    """Run a command and show its output.

    Raises:
        SetupError: It failed; with ``failure`` and the last error line it printed.
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
    reason = reason_of(lines or [f'exit status {process.returncode}'])
    raise SetupError(
        f'{failure}: {reason}; afterwards the same command goes on where it stopped.'
    )


def opencv_step(venv: Venv) -> Step:
    """The build that needs no libGL over the other one, at the same version."""
    prefix, suffix = 'opencv_python-', '.dist-info'
    version = next(
        name.removeprefix(prefix).removesuffix(suffix)
        for name in venv.distributions()
        if name.startswith(prefix)
    )
    package = f'opencv-python-headless=={version}'
    return Step('OpenCV without a display', ('--no-deps', '--force-reinstall', package))


def steps(venv: Venv, extras: bool) -> Iterator[Step]:
    """All steps in order, each made when its turn comes."""
    yield from BASE_STEPS
    if extras:
        yield extras_step()
    yield opencv_step(venv)


def check_before(venv: Venv) -> None:
    """Everything that can be known to fail before minutes are spent."""
    version = venv.version()
    if version is None:
        check_venv_module()
    else:
        check_python_of_venv(venv.path, version, MIN_PYTHON)
    names = {name.split('-')[0] for name in venv.distributions()} if version else set()
    if 'xtcocotools' not in names:
        check_compiler()
    if 'torch' not in names:
        check_disk(venv.path)


def install(venv: Venv, extras: bool) -> None:
    """Bring the environment to the wanted state, from whatever state it is in."""
    venv.prune()
    check_before(venv)
    if venv.version() is None:
        print(f'setup: making {venv.path}', flush=True)
        venv.create()
    total = len(BASE_STEPS) + extras + 1
    for number, step in enumerate(steps(venv, extras), 1):
        print(f'setup: [{number}/{total}] {step.title}', flush=True)
        venv.pip_install(step)
    print('setup: checking that all of it imports', flush=True)
    venv.check_imports()
    venv.write_stamp(extras)


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
