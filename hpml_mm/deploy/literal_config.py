# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Read the text of a config as data: nothing in it runs."""

import ast
from typing import Any

from mmengine.config import Config

# Of registries. MMEngine imports any other dotted ``type`` and calls it.
_SCOPES = {'hpml_mm', 'mmcv', 'mmdet', 'mmengine', 'mmpose', 'mmpretrain'}


def literal_config(text: str, source: str) -> Config:
    """Parse what ``Config.pretty_text`` writes: names, literals and ``dict(...)``.

    Args:
        text: The text, from a file that need not be trusted.
        source: Its file, for errors.

    Raises:
        ValueError: It holds anything else, such as an import or a call.
    """
    try:
        body = ast.parse(text).body
        content = dict(_assignment(node) for node in body)
        _check_types(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f'{source}: its config cannot be read as data: {str(error)[:200]}; give '
            'the config file'
        ) from None
    return Config(content)


def _check_types(value: Any) -> None:
    """Refuse a ``type`` that is no name of a registry."""
    if isinstance(value, dict):
        kind = value.get('type')
        if isinstance(kind, str) and '.' in kind:
            scope, _, name = kind.partition('.')
            if scope not in _SCOPES or not name.isidentifier():
                raise ValueError(f'the type {kind[:60]!r} is no registered name')
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_types(item)


def _assignment(node: ast.stmt) -> tuple[str, Any]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(node.value)
    raise ValueError(f'line {node.lineno} is no assignment of data')


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
            return {k.arg: _value(k.value) for k in node.keywords if k.arg is not None}
        raise ValueError(f'line {node.lineno} calls {ast.unparse(node.func)[:60]}')
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    return ast.literal_eval(node)
