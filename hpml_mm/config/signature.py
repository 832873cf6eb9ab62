# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keyword arguments that a class or function takes, ``**kwargs`` followed."""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType

import torch.nn as nn

# Their ``**kwargs`` takes nothing: any keyword that gets here is a TypeError.
_CLOSED_ROOTS = (object, nn.Module)
# Methods that look a key up in a dict.
_READS = ('pop', 'get', 'setdefault')
# Large, and nothing in them reads a config's parts.
_NO_READERS = ('torch', 'numpy')


@dataclass(frozen=True)
class Accepted:
    """Keyword arguments of a callable.

    Attributes:
        names: The names found in its signatures.
        complete: True if these are all. ``False`` where a ``**kwargs`` goes
            somewhere that reading the source cannot follow.
    """

    names: frozenset[str]
    complete: bool


@functools.cache
def accepted(target: Callable) -> Accepted:
    """Collect the keywords that ``target`` takes.

    A class is followed along its bases for as long as ``**kwargs`` is handed
    to a constructor of theirs and used for nothing else; keywords it takes out of
    ``kwargs`` by name on the way count too. So do old names that a decorator
    translates.
    """
    if not inspect.isclass(target):
        return _of_function(target)
    names, complete = _of_class(target.__mro__)
    return Accepted(frozenset(names), complete)


@functools.cache
def keys_read(target: Callable) -> frozenset[str]:
    """Collect the keys that the modules of a class and its bases read from dicts.

    A class may take a key out of a part's dict before it builds the part.
    """
    modules = {base.__module__ for base in getattr(target, '__mro__', (target,))}
    return frozenset().union(*map(_keys_read_in, modules))


@functools.cache
def _keys_read_in(module: str) -> frozenset[str]:
    root = module.partition('.')[0]
    if root in _NO_READERS or root in sys.stdlib_module_names:
        return frozenset()
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        key: ast.AST | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            key = node.args[0] if node.func.attr in _READS and node.args else None
        elif isinstance(node, ast.Subscript):
            key = node.slice
        elif isinstance(node, ast.Compare):
            key = node.left
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
    return frozenset(found)


def _of_class(mro: tuple[type, ...]) -> tuple[set[str], bool]:
    """Keywords of the constructor found along ``mro``, and True if these are all."""
    names: set[str] = set()
    for index, base in enumerate(mro):
        if base in _CLOSED_ROOTS:
            return names, True
        if '__init__' not in vars(base):
            continue
        function = vars(base)['__init__']
        found, sink = _parameters(function, skip_first=True)
        names |= found
        if sink is None:
            return names, True
        use = _kwargs_use(function, sink)
        if use is None or use.escaped or not use.receivers:
            return names | (use.taken if use else set()), False
        names |= use.taken
        complete = True
        for receiver in use.receivers:
            rest = _mro_of(receiver, mro, index)
            more, known = _of_class(rest) if rest else (set(), False)
            names |= more
            complete &= known
        return names, complete
    return names, False


def _mro_of(
    receiver: tuple[str, bool], mro: tuple[type, ...], index: int
) -> tuple[type, ...]:
    """Classes among which a constructor that gets ``**kwargs`` is looked up."""
    name, after = receiver
    if not name:  # super() without arguments
        return mro[index + 1 :]
    at = next((i for i, base in enumerate(mro) if base.__name__ == name), None)
    return () if at is None or at + after <= index else mro[at + after :]


def _of_function(target: Callable) -> Accepted:
    names, sink = _parameters(target, skip_first=False)
    return Accepted(frozenset(names), sink is None)


def _parameters(function: Callable, skip_first: bool) -> tuple[set[str], str | None]:
    """Names of the keywords, and the name of ``**kwargs`` where there is one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C: nothing to read
        return set(), 'kwargs'
    old = _old_names(function)
    sink = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    by_keyword = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    names = {p.name for p in parameters[int(skip_first) :] if p.kind in by_keyword}
    return names | old, sink


def _old_names(function: Callable) -> set[str]:
    """Keywords that decorators still take under an old name.

    MMEngine's ``deprecated_api_warning`` and its like hold a dict from old to new.
    """
    names: set[str] = set()
    while isinstance(function, FunctionType) and hasattr(function, '__wrapped__'):
        for held in inspect.getclosurevars(function).nonlocals.values():
            if isinstance(held, Mapping):
                names.update(key for key in held if isinstance(key, str))
        function = function.__wrapped__
    return names


def _kwargs_use(function: Callable, sink: str) -> '_KwargsVisitor | None':
    """Follow the ``**kwargs`` of a constructor; ``None`` where no source is found."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return None
    visitor = _KwargsVisitor(sink)
    visitor.visit(tree)
    return visitor


class _KwargsVisitor(ast.NodeVisitor):
    """AST visitor that finds the uses of ``**kwargs``: taken, forwarded or escaped.

    Attributes:
        taken: Names taken out (``kwargs.pop('x')``, ``kwargs['x']``).
        receivers: Constructors that get the rest: the name of a class, empty for
            ``super()``, and True for the class after it (``super(Name, self)``).
        escaped: True if something else uses it.
    """

    def __init__(self, sink: str) -> None:
        self.sink = sink
        self.taken: set[str] = set()
        self.receivers: list[tuple[str, bool]] = []
        self.escaped = False

    def visit_Call(self, node: ast.Call) -> None:
        method = node.func
        if (
            isinstance(method, ast.Attribute)
            and self._is_sink(method.value)
            and method.attr in _READS
            and node.args
            and self._take(node.args[0])
        ):
            for rest in (*node.args[1:], *node.keywords):
                self.visit(rest)
            return
        if isinstance(method, ast.Attribute) and method.attr == '__init__':
            passed = [k for k in node.keywords if k.arg is None]
            if any(self._is_sink(k.value) for k in passed):
                self.receivers.append(_receiver(method.value))
            for rest in (*node.args, *node.keywords):
                if not (rest in passed and self._is_sink(rest.value)):
                    self.visit(rest)
            return
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not (self._is_sink(node.value) and self._take(node.slice)):
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.comparators) == 1 and self._is_sink(node.comparators[0]):
            self.escaped |= not self._take(node.left)
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.escaped |= node.id == self.sink

    def _is_sink(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.sink

    def _take(self, node: ast.AST) -> bool:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return False
        self.taken.add(node.value)
        return True


def _receiver(node: ast.AST) -> tuple[str, bool]:
    """The class before ``.__init__``, and whether its successor is meant."""
    if isinstance(node, ast.Call):  # super(), super(Name, self)
        first = node.args[0] if node.args else None
        return (first.id, True) if isinstance(first, ast.Name) else ('', True)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, 'id', '?')
    return name, False
