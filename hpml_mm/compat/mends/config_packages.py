# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the configs of this package by ``hpml_mm::NAME``, also as a base."""

from pathlib import Path
from types import ModuleType

_SCOPE = 'hpml_mm::'
CONFIGS = Path(__file__).resolve().parents[2] / '.mim' / 'configs'


def mend(module: ModuleType) -> None:
    """Add this package to those of ``mmengine.config.utils`` or ``.config``."""
    if hasattr(module, 'MODULE2PACKAGE'):
        module.MODULE2PACKAGE['hpml_mm'] = 'hpml_mm'
    if not hasattr(module, 'Config'):
        return
    original = module.Config._get_cfg_path

    def _get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if not cfg_path.startswith(_SCOPE):
            return original(cfg_path, filename)
        # No scope: it would hide the modules of the config's own, such as mmpose's.
        return str(CONFIGS / cfg_path.removeprefix(_SCOPE)), None

    module.Config._get_cfg_path = staticmethod(_get_cfg_path)
