# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make ``.venv`` and install everything into it; a second run does nothing.

``make demo`` and ``make test`` run this before anything is installed, so it needs
the standard library only, and its first lines run on any Python 3.6 or newer.
"""

import shutil
import sys

TRIED = (11, 12, 13)


def refuse_other_python():
    """Stop before anything that an old Python cannot run, this file included."""
    if sys.version_info[0] == 3 and sys.version_info[1] in TRIED:
        return
    names = [f'python3.{minor}' for minor in TRIED]
    found = [name for name in names if shutil.which(name)]
    remedy = f'Add PYTHON={(found or names)[0]} to the make command.'
    if not found:
        remedy = 'Install it (Debian, Ubuntu: apt install python3.11-full). ' + remedy
    sys.exit(
        f'setup: error: Python {sys.version_info[0]}.{sys.version_info[1]} was not '
        f'tried, 3.{TRIED[0]} to 3.{TRIED[-1]} were. {remedy}'
    )


refuse_other_python()

import argparse
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import setup_checks
from setup_watch import run_quietly

ROOT = Path(__file__).resolve().parents[1]
PIP = {'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_INPUT': '1'}
# What the user reads while a step runs, and the arguments of ``pip install``.
BASE_STEPS = (
    ('OpenMMLab and all other requirements', '-r requirements.txt'),
    (
        'MMPose and MMDetection without their dependencies',
        '--no-deps -r requirements/no-deps.txt',
    ),
    ('this project', '--no-deps --no-build-isolation -e .'),
)


class SetupError(Exception):
    """Errors for the user: faults with their remedies, a line each."""


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
    files = [Path(__file__), ROOT / 'pyproject.toml', ROOT / 'requirements.txt']
    files += sorted(ROOT.glob('requirements/*.txt'))
    files += extra_files() if extras else []
    digest = hashlib.sha256(f'{ROOT}\n{python_version}\n'.encode())
    for file in files:
        digest.update(f'\n{file.name}\n'.encode() + file.read_bytes())
    return digest.hexdigest()


def steps(venv: Venv, extras: bool, index: str | None) -> Iterator[tuple[str, str]]:
    """Iterate over all steps in order.

    Args:
        venv: What they are for.
        extras: True for the optional extras, too.
        index: Package index of PyTorch without CUDA; None for the usual build.
    """
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    torch = ' '.join(line for line in lines if line.startswith('torch'))
    if index:
        yield 'PyTorch without CUDA', f'--index-url {index} {torch}'
    else:
        yield 'PyTorch', torch
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


def check_before(venv: Venv, index: str | None) -> None:
    """Check everything that can be checked before the first download.

    Raises:
        SetupError: Something is missing; each fault with what mends it.
    """
    version = venv.version()
    names = {name.split('-')[0] for name in venv.distributions()} if version else set()
    faults = [*setup_checks.check_venv(venv.path, version, (3, TRIED[-1] + 1))]
    faults += setup_checks.check_platform()
    faults += setup_checks.check_memory()
    if 'torch' not in names:
        faults += setup_checks.check_disk(venv.path, cuda=index is None)
        python = venv.python if version else Path(sys.executable)
        faults += setup_checks.check_index(python, os.environ | PIP)
        faults += setup_checks.check_torch_index(index) if index else []
    if faults:
        raise SetupError(*faults)


def install(venv: Venv, extras: bool) -> None:
    """Bring the environment from any state to the wanted one."""
    venv.prune()
    names = {name.partition('-')[0] for name in venv.distributions()}
    index = None if 'torch' in names else setup_checks.torch_index()
    check_before(venv, index)
    if venv.version() is None:
        log = venv.path.parent / f'{venv.path.name}-setup.log'
        command = [sys.executable, '-m', 'venv', '--clear', str(venv.path)]
        run_step(command, f'making {venv.path}', log)
        log.unlink()
    python, log = str(venv.python), venv.path / 'hpml_mm-setup.log'
    log.unlink(missing_ok=True)
    total = len(BASE_STEPS) + extras + 2
    for number, (title, arguments) in enumerate(steps(venv, extras, index), 1):
        command = [python, '-m', 'pip', 'install', '--progress-bar', 'off']
        run_step([*command, *arguments.split()], f'[{number}/{total}] {title}', log)
    examine(venv, log)
    venv.write_stamp(extras)


def run_step(command: Sequence[str], title: str, log: Path) -> None:
    """Run a command with one line on the screen.

    Raises:
        SetupError: It failed; with the last error line it printed, and a remedy.
    """
    env = os.environ | PIP
    status, lines = run_quietly(command, f'setup: {title}', env=env, cwd=ROOT, log=log)
    if status == 0:
        return
    lines = [line.strip() for line in lines if line.strip()]
    lines = lines or [f'exit status {status}']
    errors = [line for line in lines if line.lower().startswith('error')]
    reason = (errors or lines)[-1].removeprefix('ERROR: ')
    remedy = f'{log} says more'
    if any('connection' in line.lower() for line in lines):
        remedy = 'The package index was not reached: check network, proxy and pip.conf'
    raise SetupError(
        f'{title} failed: {reason}. {remedy}; afterwards the same command goes on '
        'where it stopped.'
    )


def examine(venv: Venv, log: Path) -> None:
    """Have ``hpml doctor`` judge what was installed.

    Raises:
        SetupError: Packages do not fit; each with the command against it.
    """
    command = [str(venv.python), '-m', 'hpml_mm.cli', 'doctor', '--json']
    env = os.environ | {'PYTHONWARNINGS': 'ignore'}
    env.pop('PYTHONPATH', None)
    title = 'setup: examining what was installed: hpml doctor'
    _, lines = run_quietly(command, title, env=env, cwd=ROOT, log=log)
    text = '\n'.join(lines)
    try:
        findings = json.loads(text[text.index('[\n') :])
    except ValueError:
        last = (lines or ['no output'])[-1]
        raise SetupError(
            f'hpml doctor failed: {last}. Remove the environment: rm -rf {venv.path}'
        ) from None
    faults = []
    for one in findings:
        if one['remedy'] is None:
            continue
        pip = f'{venv.path}/bin/pip'
        remedy = re.sub(r'\bpip (?=(un)?install)', f'{pip} ', one['remedy'])
        told = f'{one["what"]}: {one["found"]}: {remedy}'
        if one['of_machine']:
            print(f'setup: {told}')
        else:
            faults.append(told)
    if faults:
        raise SetupError(*faults)


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
        for fault in error.args:
            print(f'setup: error: {fault}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('setup: stopped; the same command goes on from here', file=sys.stderr)
        return 130
    print('setup: done')
    return 0


if __name__ == '__main__':
    sys.exit(main())
