# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Types and files that the config of a stranger may name."""

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.registry import Registry

#: Packages whose registries are asked.
_SCOPES = ('hpml_mm', 'mmpose', 'mmpretrain', 'mmdet', 'mmengine')
#: Registries of what a model or its input is made of.
_KINDS = (
    *('MODELS', 'DATASETS', 'TRANSFORMS', 'TASK_UTILS', 'VISUALIZERS'),
    *('KEYPOINT_CODECS', 'BATCH_AUGMENTS'),
)
#: Functions that stock heads find by these words, in no registry.
_WORDS = ('nms', 'soft_nms', 'nms_match')
#: Modules of what fetches code or a network from elsewhere, or executes a config.
_ELSEWHERE = re.compile(
    r'hugging_?face|multimodal|timm|language_models|text_transformers|distill|\.kd_'
    r'|\.lad$'
)
#: Texts that stock classes may evaluate, fetch or execute; a dtype, say.
_RUNS = re.compile(r'__|://|\.(py|pkl|pickle|ya?ml|so)$', re.IGNORECASE)


class KnownTypes:
    """Names that are registered now, with and without their scopes."""

    def __init__(self) -> None:
        self._modules: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for scope in _SCOPES:
            for name, target in _of_scope(scope):
                module = str(getattr(target, '__module__', ''))
                self._modules |= {f'{scope}.{name}': module, name: module}
                path = f'{module}.{getattr(target, "__qualname__", name)}'
                self._names.setdefault(path, f'{scope}.{name}')

    def name(self, kind: Any) -> str:
        """Find the registered name of a type.

        Args:
            kind: A name, with or without its scope; or the full path of a class, as
                pure Python configs write it.

        Raises:
            ValueError: It is not registered.
        """
        if not isinstance(kind, str):
            raise ValueError(f'the type {kind!r:.60} is no name')
        if kind in _WORDS:
            return kind
        name = kind if kind in self._modules else self._names.get(kind)
        if name is None:
            raise ValueError(f'the type {kind[:60]!r} is no registered name')
        if _ELSEWHERE.search(self._modules[name]):
            raise ValueError(f'the type {kind[:60]!r} fetches code or weights itself')
        return name


def _of_scope(scope: str) -> list[tuple[str, Any]]:
    if find_spec(scope) is None:
        return []
    home = import_module(f'{scope}.registry')
    found: list[tuple[str, Any]] = []
    for kind in _KINDS:
        registry = getattr(home, kind, None)
        if isinstance(registry, Registry):
            registry.import_from_location()
            found += registry.module_dict.items()
    return found


def refuse_text(text: str) -> None:
    """Refuse a text that could be more than a word to the class that takes it.

    Raises:
        ValueError: It looks like a call, an address or a program.
    """
    if _RUNS.search(text) or ('(' in text and _is_expression(text)):
        raise ValueError(f'the text {text[:60]!r} could be run or fetched')


def _is_expression(text: str) -> bool:
    """Return whether Python could evaluate it, as it could not ``top1(%)``."""
    try:
        ast.parse(text.strip(), mode='eval')
    except SyntaxError:
        return False
    return True


def known_scope(scope: Any) -> str:
    """Refuse the scope of any other package: MMEngine would import it.

    Raises:
        ValueError: It is not of a package that is known.
    """
    if scope not in _SCOPES:
        raise ValueError(f'the scope {scope!r:.60} is none of {", ".join(_SCOPES)}')
    return scope


def installed_file(name: Any) -> str:
    """Find a file of keypoints among those of the installed packages.

    MMPose executes it, so that no other will do.

    Args:
        name: Its path on the machine that wrote the config.

    Raises:
        ValueError: There is none of this name.
    """
    if isinstance(name, str):
        for folder in _folders():
            path = folder / Path(name).name
            if path.suffix == '.py' and path.is_file():
                return str(path)
    raise ValueError(f'the file {name!r:.90} is none of an installed package')


def _folders() -> list[Path]:
    own = Path(__file__).parents[1] / 'datasets' / 'pose' / 'metainfo'
    spec = find_spec('mmpose')
    if spec is None or spec.origin is None:
        return [own]
    package = Path(spec.origin).parent
    return [own] + [
        place / 'configs' / '_base_' / 'datasets'
        for place in (package / '.mim', package.parent)
    ]
