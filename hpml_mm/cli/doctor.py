# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compare what is installed with what is needed; each fault has the command against it.

    hpml doctor
    hpml doctor --json

The exit code is 1 where something is at fault.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from rich.table import Table

from hpml_mm.compat.packages import SAME_FOLDER, installed
from hpml_mm.utils.console import table_console
from hpml_mm.utils.device import cpu_name, usable_cpus

from .outputs import add_json_option, print_result

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
    """

    what: str
    found: str
    remedy: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    findings = examine()
    if args.json:
        print_result(args, [asdict(finding) for finding in findings])
    else:
        table = Table('', 'what', 'found', 'remedy')
        for one in findings:
            mark = '' if one.remedy is None else '!'
            table.add_row(mark, one.what, one.found, one.remedy or '')
        table_console().print(table)
    if any(one.remedy for one in findings):
        sys.exit(AT_FAULT)


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


def check_imports() -> Iterator[Finding]:
    """Import in a process of its own what breaks where builds do not fit."""
    modules = {
        'xtcocotools.mask': 'pip install --force-reinstall --no-deps '
        '--no-build-isolation --no-cache-dir --no-binary=xtcocotools xtcocotools',
        'cv2': 'pip install --force-reinstall --no-deps opencv-python-headless',
    }
    for module, command in modules.items():
        if find_spec(module.partition('.')[0]) is None:
            yield Finding(module, 'not installed', command)
            continue
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', f'import {module}'],
            capture_output=True,
            text=True,
        )
        last = (done.stderr.strip().splitlines() or [''])[-1][:120]
        yield Finding(module, last or 'imports', command if done.returncode else None)


def check_ops() -> Iterator[Finding]:
    """Tell whether MMCV has compiled ops; without them PyTorch serves most."""
    folder = metadata.distribution('onedl-mmcv').locate_file('mmcv')
    compiled = list(Path(str(folder)).glob('_ext*.so'))
    yield Finding('mmcv ops', 'compiled' if compiled else 'served by PyTorch')


def check_compiler() -> Iterator[Finding]:
    """Look for what compiling needs: xtcocotools now, torch.compile later."""
    name = (os.environ.get('CC') or 'cc').split()[0]
    there = shutil.which(name) is not None
    yield Finding('C compiler', name if there else 'none', _apt(there, 'gcc libc6-dev'))
    header = Path(sysconfig.get_path('include'), 'Python.h')
    major, minor = sys.version_info[:2]
    package = f'python{major}.{minor}-dev'
    yield Finding('Python.h', str(header), _apt(header.is_file(), package))


def _apt(there: bool, package: str) -> str | None:
    return None if there else f'apt install {package}'


def check_machine() -> Iterator[Finding]:
    """Describe the processor, the cores that a container really has, and the GPU."""
    import torch

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
        yield Finding('GPU', f'not usable: torch is built for {built}', command)
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
    yield Finding('/dev/shm', f'{gib:.1f} GiB', advice if small else None)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(check_owners, check_requirements, check_torchvision, check_imports, check_ops),
    *(check_compiler, check_machine, check_shared_memory),
)
