# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Read the text of a config as data: nothing in it runs.

MMEngine executes such a text, and each file that its ``_base_`` or ``custom_imports``
names. It imports and calls whatever a dotted ``type`` names.
"""

import ast
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .known_types import KnownTypes, installed_file, known_scope, refuse_text

#: Parts by which a model is built and images are read; no others are taken.
_PARTS = (
    *('model', 'data_preprocessor', 'default_scope', 'codec', 'visualizer'),
    *('test_dataloader', 'val_dataloader', 'test_pipeline', 'test_cfg'),
)
#: Settings that are left out: weights come from the checkpoint, pictures go nowhere.
_LEFT_OUT = ('init_cfg', 'pretrained', 'vis_backends', 'save_dir')
#: Places of a data set's files. They are not read: it is built without its data.
_DATA = ('ann_file', 'bbox_file', 'data_prefix', 'data_root', 'img_prefix')


def literal_config(text: str, source: str) -> Config:
    """Parse what ``Config.pretty_text`` writes: names, literals and ``dict(...)``.

    Args:
        text: The text, from a file that need not be trusted.
        source: Its file, for errors.

    Returns:
        Its model, data and scope, without hooks, schedules and imports.

    Raises:
        ValueError: It holds anything else, such as an import or a call, or a type
            that is not registered.
    """
    try:
        content = dict(_assignment(node) for node in ast.parse(text).body)
        return Config(_Checker().config(content))
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f'{source}: its config cannot be read as data: {str(error)[:200]}; give '
            'the config file'
        ) from None


def literal_values(text: str, source: str) -> dict[str, Any]:
    """Read all names of a config's text, to be shown: nothing in it runs.

    Args:
        text: See :func:`literal_config`.
        source: Its file, for errors.

    Returns:
        Values by name. One that is no data is its own source text.

    Raises:
        ValueError: It is no Python.
    """
    found: dict[str, Any] = {}
    try:
        for node in ast.parse(text).body:
            if not isinstance(node, ast.Assign):
                continue
            try:
                name, value = _assignment(node)
            except (TypeError, ValueError):
                name, value = ast.unparse(node.targets[0]), ast.unparse(node.value)
            found[name] = value
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f'{source}: its config cannot be read: {str(error)[:200]}'
        ) from None
    return found


class _Checker:
    """Leaves the parts that are needed, with their types and files known."""

    def __init__(self) -> None:
        self._types = KnownTypes()

    def config(self, content: dict[str, Any]) -> dict[str, Any]:
        parts = {key: content[key] for key in _PARTS if key in content}
        if parts.get('default_scope') is not None:
            known_scope(parts['default_scope'])
        for key, value in parts.items():
            if key.endswith('_dataloader') and isinstance(value, dict):
                value = {k: v for k, v in value.items() if k == 'dataset'}
            parts[key] = self._part(value)
        return parts

    def _part(self, value: Any) -> Any:
        if isinstance(value, str):
            refuse_text(value)
        if isinstance(value, list | tuple):
            return type(value)(self._part(item) for item in value)
        if not isinstance(value, dict):
            return value
        return {k: v for key, one in value.items() for k, v in self._setting(key, one)}

    def _setting(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        """Yield what becomes of one setting: nothing, if it is left out."""
        if key == 'type':
            yield key, self._types.name(value)
        elif key == '_scope_':
            yield key, known_scope(value)
        elif key == 'metainfo':
            yield key, _metainfo(value)
        elif key in _DATA:
            yield key, value
        elif key == 'trust_remote_code' or str(key).startswith('_'):
            raise ValueError(f'the setting {key!r:.60} is not for a file to choose')
        elif key not in _LEFT_OUT:
            yield key, self._part(value)


def _metainfo(value: Any) -> Any:
    """Check names and colours of classes or keypoints, or the file of them."""
    if isinstance(value, str):
        return installed_file(value)
    if isinstance(value, dict):
        if isinstance(value.get('classes'), str):
            raise ValueError('metainfo.classes is a file, not a list of names')
        if 'from_file' in value:
            return {**value, 'from_file': installed_file(value['from_file'])}
    return value


def _assignment(node: ast.stmt) -> tuple[str, Any]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(node.value)
    raise ValueError(f'line {node.lineno} is no assignment of data')


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == 'dict':
            # Where a key is no name: dict({'a.b': 1}).
            given = [_value(one) for one in node.args if isinstance(one, ast.Dict)]
            named = {k.arg: _value(k.value) for k in node.keywords if k.arg}
            if len(given) == len(node.args) <= 1 and len(named) == len(node.keywords):
                return {**given[0], **named} if given else named
        raise ValueError(f'line {node.lineno} calls {ast.unparse(node.func)[:60]}')
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError(f'line {node.lineno} unpacks a dict')
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key}
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    return ast.literal_eval(node)
