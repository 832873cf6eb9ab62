# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks that the installed OpenMMLab packages can work together."""

from importlib import metadata

MIN_MMENGINE = '0.10.12'
# Distributions that write into one and the same import folder.
SAME_FOLDER = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those of the named distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_packages() -> None:
    """Refuse package sets that fail later, and less clearly.

    Reads package metadata only and imports nothing. What is not installed is not
    checked: parts of the project work without MMEngine and MMCV.

    Raises:
        ValueError: Two distributions own the same folder, or MMEngine is too old to
            resume. Not an ``ImportError``: MMEngine's registry swallows those when
            it looks up ``type='hpml_mm.Name'``.
    """
    for folder, names in SAME_FOLDER.items():
        found = installed(names)
        if len(found) > 1:
            listed = ' and '.join(f'{name} {found[name]}' for name in found)
            raise ValueError(
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
        raise ValueError(
            f'{name} {version} is too old: before {MIN_MMENGINE} MMEngine cannot '
            'resume from its own checkpoints on torch 2.6 or newer. '
            f'Replace it: pip uninstall -y {name}; '
            f"pip install 'onedl-mmengine>={MIN_MMENGINE}'"
        )
