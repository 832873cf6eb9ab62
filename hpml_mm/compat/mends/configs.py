# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the configs of this package by ``hpml_mm::NAME``, and format a text once."""

from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

_SCOPE = 'hpml_mm::'
CONFIGS = Path(__file__).resolve().parents[2] / '.mim' / 'configs'
# Texts that are kept: those of a run and of what it compares itself with.
_KEPT = 8


def mend(module: ModuleType) -> None:
    """Add this package to those of ``mmengine.config.utils`` or ``.config``."""
    if hasattr(module, 'MODULE2PACKAGE'):
        module.MODULE2PACKAGE['hpml_mm'] = 'hpml_mm'
    if hasattr(module, 'Config'):
        _find_own_configs(module.Config)
        _format_once(module.Config)


def _find_own_configs(kind: Any) -> None:
    original = kind._get_cfg_path

    def _get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if not cfg_path.startswith(_SCOPE):
            return original(cfg_path, filename)
        # No scope: it would hide the modules of the config's own, such as mmpose's.
        return str(CONFIGS / cfg_path.removeprefix(_SCOPE)), None

    kind._get_cfg_path = staticmethod(_get_cfg_path)


def _format_once(kind: Any) -> None:
    """Have ``Config.pretty_text`` keep what yapf made of the same text.

    A run asks for it six times or more, and again at each checkpoint. A call takes from
    .05 s to 2 s (a heavy augmentation), in which a training waits.
    """
    original = kind.pretty_text.fget
    texts: dict[str, str] = {}

    @wraps(original)
    def pretty_text(self: Any) -> str:
        if not self._format_python_code:
            return original(self)
        # The class has a __setattr__ of its own, which adds a key to the config.
        object.__setattr__(self, '_format_python_code', False)
        try:
            plain = original(self)
        finally:
            object.__setattr__(self, '_format_python_code', True)
        if plain not in texts:
            texts[plain] = original(self)
            if len(texts) > _KEPT:
                del texts[next(iter(texts))]
        return texts[plain]

    kind.pretty_text = property(pretty_text)
