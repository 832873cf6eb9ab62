# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keyword arguments that a class or function takes, ``**kwargs`` followed."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn as nn

# Their ``**kwargs`` takes nothing: any keyword that gets here is a TypeError.
_CLOSED_ROOTS = (object, nn.Module)


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
    to ``super().__init__`` and used for nothing else; keywords it takes out of
    ``kwargs`` by name on the way count too.
    """
    if not inspect.isclass(target):
        return _of_function(target)
    names: set[str] = set()
    for base in target.__mro__:
        if base in _CLOSED_ROOTS:
            return Accepted(frozenset(names), True)
        if '__init__' not in vars(base):
            continue
        found, sink = _parameters(vars(base)['__init__'], skip_first=True)
        names |= found
        if sink is None:
            return Accepted(frozenset(names), True)
        taken, forwarded = _kwargs_use(vars(base)['__init__'], sink)
        names |= taken
        if not forwarded:
            return Accepted(frozenset(names), False)
    return Accepted(frozenset(names), False)


def _of_function(target: Callable) -> Accepted:
    names, sink = _parameters(target, skip_first=False)
    return Accepted(frozenset(names), sink is None)


def _parameters(function: Callable, skip_first: bool) -> tuple[set[str], str | None]:
    """Names of the keywords, and the name of ``**kwargs`` where there is one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C: nothing to read
        return set(), 'kwargs'
    sink = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    by_keyword = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    names = {p.name for p in parameters[int(skip_first) :] if p.kind in by_keyword}
    return names, sink


def _kwargs_use(function: Callable, sink: str) -> tuple[set[str], bool]:
    """Follow the ``**kwargs`` of a constructor.

    Returns:
        The names that it takes out (``kwargs.pop('x')``, ``kwargs['x']``), and
        whether the rest goes to the next class's constructor and nowhere else.
    """
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return set(), False
    visitor = _KwargsVisitor(sink)
    visitor.visit(tree)
    return visitor.taken, visitor.forwarded and not visitor.escaped


class _KwargsVisitor(ast.NodeVisitor):
    """AST visitor that finds the uses of ``**kwargs``: taken, forwarded or escaped."""

    def __init__(self, sink: str) -> None:
        self.sink = sink
        self.taken: set[str] = set()
        self.forwarded = False
        self.escaped = False

    def visit_Call(self, node: ast.Call) -> None:
        method = node.func
        if (
            isinstance(method, ast.Attribute)
            and self._is_sink(method.value)
            and method.attr in ('pop', 'get', 'setdefault')
            and node.args
            and self._take(node.args[0])
        ):
            for rest in (*node.args[1:], *node.keywords):
                self.visit(rest)
            return
        if isinstance(method, ast.Attribute) and method.attr == '__init__':
            passed = [k for k in node.keywords if k.arg is None]
            if any(self._is_sink(k.value) for k in passed):
                self.forwarded = True
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
