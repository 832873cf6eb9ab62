# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Optional packages, and checks that installed packages fit together."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

MIN_MMENGINE = '0.10.12'
# For poses; what they ask for breaks the rest. The same as requirements/no-deps.txt.
FOR_POSES = ('mmpose==1.3.2', 'onedl-mmdetection==3.5.1')
# Distributions that write into one and the same import folder.
SAME_FOLDER = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}


class PackagesError(ValueError):
    """Installed packages do not fit together; the message has the command against it.

    Not an ``ImportError``: MMEngine's registry swallows those when it looks up
    ``type='hpml_mm.Name'``.
    """


def has_mmpose() -> bool:
    """Return whether MMPose is installed: a project of faces needs none."""
    return find_spec('mmpose') is not None


def require(module: str, extra: str | None = None) -> ModuleType:
    """Import an optional module, or say how to install it.

    Args:
        module: Dotted name of the module.
        extra: Name of the extra in ``pyproject.toml`` that installs it; None for what
            ``requirements.txt`` lists.

    Raises:
        ImportError: The module is not installed; the message says what installs it. A
            module that is there and fails on its own keeps its own error.
    """
    try:
        with _logging_left_alone():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Something missing *inside* an installed module is not cured by the extra.
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            raise
        # From any folder, for a checkout; else by name.
        checkout = Path(__file__).parents[2]
        is_checkout = (checkout / 'pyproject.toml').is_file()
        option, place = ('-e ', checkout) if is_checkout else ('', 'hpml_mm')
        remedy = (
            f'it comes with the optional extra {extra!r}: '
            f"pip install {option}'{place}[{extra}]'"
            if extra
            else f"requirements.txt lists it: pip install {option}'{place}'"
        )
        raise ImportError(f'{module} is not installed; {remedy}') from error


@contextlib.contextmanager
def _logging_left_alone() -> Iterator[None]:
    """Keep submitit from configuring logging when it is imported.

    That closes every log file of the process, which from then on stays as it is.
    Processes that are started later, such as its jobs, do as they always do.
    """
    name = 'SUBMITIT_LOG_LEVEL'
    if name in os.environ:
        yield
        return
    os.environ[name] = 'NOCONFIG'
    try:
        yield
    finally:
        os.environ.pop(name, None)


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Find the versions of those of the named distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_packages() -> None:
    """Refuse sets of installed packages that would fail later with obscure errors.

    Reads package metadata only and imports nothing. What is not installed is not
    checked: parts of the project work without MMEngine and MMCV.

    Raises:
        PackagesError: Two distributions own the same folder, or MMEngine is too old to
            resume.
    """
    for folder, names in SAME_FOLDER.items():
        found = installed(names)
        if len(found) > 1:
            listed = ' and '.join(f'{name} {found[name]}' for name in found)
            raise PackagesError(
                f'{listed} are installed side by side, but both write to the folder '
                f'{folder!r}. Keep one: pip uninstall -y {" ".join(found)}; '
                # What mmdet requires would bring mmcv and mmengine back.
                f'pip install --no-deps {names[0]}'
            )
    for name, version in installed(SAME_FOLDER['mmengine']).items():
        _check_mmengine(name, version)


def _check_mmengine(name: str, version: str) -> None:
    from packaging.version import Version

    if Version(version) < Version(MIN_MMENGINE):
        raise PackagesError(
            f'{name} {version} is too old: before {MIN_MMENGINE} MMEngine cannot '
            'resume from its own checkpoints on torch 2.6 or newer. '
            f'Replace it: pip uninstall -y {name}; '
            f"pip install 'onedl-mmengine>={MIN_MMENGINE}'"
        )
