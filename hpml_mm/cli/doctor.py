# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare what is installed with what is needed; each fault has the command against it.

    hpml doctor
    hpml doctor --json

The exit code is 1 where something is at fault.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from hpml_mm.compat.packages import FOR_POSES, SAME_FOLDER, installed
from hpml_mm.compat.stand_in import StandIn

from .outputs import add_json_option

AT_FAULT = 1
# Below it workers of a loader that return large batches die of a bus error.
SHARED_MEMORY_GIB = 1


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Name of the thing.
        found: Description of what is there.
        remedy: Command or advice; None where nothing is at fault.
        of_machine: True for what no package can mend.
    """

    what: str
    found: str
    remedy: str | None = None
    of_machine: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    findings = examine()
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    if any(one.remedy for one in findings):
        sys.exit(AT_FAULT)


def show(findings: Sequence[Finding]) -> None:
    """Print a table, what is at fault first; lines where even rich is missing."""
    findings = sorted(findings, key=lambda one: one.remedy is None)
    if find_spec('rich') is None:
        for one in findings:
            print(f'{one.what}: {one.found}' + f': {one.remedy}' * bool(one.remedy))
        return
    from rich.table import Table

    from hpml_mm.utils.console import table_console

    table = Table('', 'what', 'found', 'remedy')
    for one in findings:
        mark = '' if one.remedy is None else '!'
        table.add_row(mark, one.what, one.found, one.remedy or '')
    table_console().print(table)


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    return [finding for check in CHECKS for finding in check()]


def check_requirements() -> Iterator[Finding]:
    """Compare the installed versions with those that this package asks for."""
    for line in metadata.requires('hpml_mm') or ():
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({'extra': ''}):
            continue
        version = installed((wanted.name,)).get(wanted.name)
        right = version is not None and wanted.specifier.contains(version, True)
        asked = f'{wanted.name}{wanted.specifier}'
        yield Finding(
            wanted.name,
            version or 'not installed',
            None if right else f"pip install '{asked}'",
        )


def check_owners() -> Iterator[Finding]:
    """Look for two distributions that write into one folder, such as mmengine's."""
    for folder, names in SAME_FOLDER.items():
        found = installed(names)
        if len(found) > 1:
            remove = f'pip uninstall -y {" ".join(found)}'
            again = f'pip install --no-deps {names[0]}'
            listed = ', '.join(f'{name} {found[name]}' for name in found)
            yield Finding(folder, listed, f'{remove} && {again}')


def check_torchvision() -> Iterator[Finding]:
    """Compare torchvision's PyTorch with the one that is installed."""
    versions = installed(('torch', 'torchvision'))
    if len(versions) < 2:
        return
    wanted = [
        Requirement(line)
        for line in metadata.requires('torchvision') or ()
        if re.match(r'torch\b', line)
    ]
    torch = versions['torch']
    bad = [one for one in wanted if not one.specifier.contains(torch, True)]
    builds = {name: v.partition('+')[2] for name, v in versions.items()}
    same = len(set(builds.values())) == 1 or '' in builds.values()
    command = None
    if bad or not same:
        command = f'pip install --force-reinstall torchvision torch=={torch}'
    shown = ', '.join(f'{name} {version}' for name, version in versions.items())
    yield Finding('torchvision', f'for {shown}', command)


def check_poses() -> Iterator[Finding]:
    """Look for MMPose and MMDetection, which faces do not need."""
    for line in FOR_POSES:
        wanted = Requirement(line)
        version = installed((wanted.name,)).get(wanted.name)
        command = f"pip install --no-deps '{line}'"
        if version is None:
            yield Finding(wanted.name, f'none; for poses: {command}')
            continue
        right = wanted.specifier.contains(version, True)
        yield Finding(wanted.name, version, None if right else command)


# Prints a name, and then a line with the error of its import, or an empty one. In a
# process of its own: builds that do not fit may end it.
IMPORTS = """
import sys, warnings
warnings.simplefilter('ignore')
import hpml_mm
out, sys.stdout = sys.stdout, sys.stderr
for name in sys.argv[1:]:
    print('importing', name, file=out, flush=True)
    try:
        __import__(name)
        print('', file=out, flush=True)
    except Exception as error:
        print(f'{type(error).__name__}: {error}'.splitlines()[0], file=out, flush=True)
"""


def check_imports() -> Iterator[Finding]:
    """Import what breaks where builds do not fit."""
    again = 'pip install --force-reinstall'
    commands = {
        'torchvision': f'{again} torch torchvision',
        'cv2': f'{again} --no-deps opencv-python-headless',
        'albumentations': f'{again} --no-deps albumentations albucore',
        # A stand-in takes its place.
        'xtcocotools.mask': 'pip uninstall -y xtcocotools',
        'mmpretrain.models': f'{again} --no-deps onedl-mmpretrain',
        'mmdet.models': f"{again} --no-deps '{FOR_POSES[1]}'",
        'mmpose.models': f"{again} --no-deps '{FOR_POSES[0]}'",
    }
    refused = any(check_owners())  # by hpml_mm, when MMEngine is imported
    names = [
        name
        for name in commands
        if find_spec(name.partition('.')[0]) and not (refused and name[:2] == 'mm')
    ]
    done = subprocess.run(
        [sys.executable, '-c', IMPORTS, *names], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    told = dict(itertools.pairwise(lines))
    last = f'ends the process, status {done.returncode}'
    if not lines:  # hpml_mm itself
        last = done.stderr.strip().splitlines()[-1]
    for name in names:
        error = told.get(f'importing {name}', last)[:120]
        spec = find_spec(name.partition('.')[0])
        stands_in = spec is not None and isinstance(spec.loader, StandIn)
        found = error or ('stand-in' if stands_in else 'imports')
        yield Finding(name, found, commands[name] if error else None)


def check_ops() -> Iterator[Finding]:
    """Tell whether MMCV has compiled ops; without them PyTorch serves most."""
    if installed(('onedl-mmcv',)):
        folder = metadata.distribution('onedl-mmcv').locate_file('mmcv')
        compiled = list(Path(str(folder)).glob('_ext*.so'))
        yield Finding('mmcv ops', 'compiled' if compiled else 'served by PyTorch')


def check_compiler() -> Iterator[Finding]:
    """Look for what torch.compile needs, and nothing else does."""
    header = Path(sysconfig.get_path('include'), 'Python.h')
    major, minor = sys.version_info[:2]
    needed = {
        'g++': shutil.which((os.environ.get('CXX') or 'g++').split()[0]) is not None,
        f'python{major}.{minor}-dev': header.is_file(),
    }
    missing = ' '.join(package for package, there in needed.items() if not there)
    found = f'only after: apt install {missing}' if missing else 'has what it needs'
    yield Finding('torch.compile', found)


def check_machine() -> Iterator[Finding]:
    """Describe the processor, the cores that a container really has, and the GPU."""
    try:
        import torch

        from hpml_mm.utils.device import cpu_name, usable_cpus
    except (ImportError, OSError) as error:  # a library that it was built with
        again = 'pip install --force-reinstall torch torchvision'
        yield Finding('torch', str(error).splitlines()[0][:120], again)
        return
    cores, shown = usable_cpus(), os.cpu_count()
    yield Finding('CPU', cpu_name() or 'unknown')
    yield Finding('cores', f'{cores} of {shown} usable')
    yield Finding('bf16 on the CPU', _cpu_bf16(Path('/proc/cpuinfo')))
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        bf16 = 'with' if torch.cuda.is_bf16_supported() else 'without'
        yield Finding('GPU', f'{name}, {bf16} bf16')
    elif shutil.which('nvidia-smi'):
        built = torch.version.cuda or 'a CPU alone'
        command = 'pip install --force-reinstall torch torchvision'
        yield Finding('GPU', f'not usable: torch is built for {built}', command, True)
    else:
        yield Finding('GPU', 'none')


def _cpu_bf16(cpuinfo: Path) -> str:
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    known = [flag for flag in ('amx_bf16', 'avx512_bf16', 'bf16') if flag in flags]
    return ', '.join(known) or 'emulated: slower than fp32'


def check_shared_memory() -> Iterator[Finding]:
    """Tell the size of /dev/shm, through which workers of a loader send batches."""
    place = Path('/dev/shm')
    if not place.is_dir():
        return
    gib = shutil.disk_usage(place).total / 2**30
    small = gib < SHARED_MEMORY_GIB
    advice = 'docker run --shm-size=8g, or num_workers=0'
    yield Finding('/dev/shm', f'{gib:.1f} GiB', advice if small else None, True)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(check_owners, check_requirements, check_poses, check_torchvision, check_imports),
    *(check_ops, check_compiler, check_machine, check_shared_memory),
)
