# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mend stock modules when they are imported, in whatever order that happens."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Module to mend -> module of this project that mends it.
Table = Mapping[str, str]


class MendingFinder(MetaPathFinder):
    """Finder that has the modules of a table mended whenever they are executed.

    It finds nothing of its own: the other finders are asked, and the execution of
    their module gains a step.

    Args:
        table: Module to mend -> module that mends it. The latter has
            ``around(module)``, a context manager for the execution, or
            ``mend(module)``, called after it.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the specification that the next finder gives, with the step added."""
        if fullname not in self.table:
            return None
        # Two of its kind would ask each other for ever.
        others = (one for one in sys.meta_path if not isinstance(one, MendingFinder))
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            # The loader stays of its kind: inspect and importlib.resources ask it.
            add_step(spec.loader, self.table[fullname])
        return spec


def add_step(loader: object, mender: str) -> None:
    """Make a loader mend the module that it executes."""
    execute: Callable[[ModuleType], None] = loader.exec_module  # type: ignore[attr-defined]

    def execute_and_mend(module: ModuleType) -> None:
        mends = import_module(mender)
        around: AbstractContextManager = (
            mends.around(module) if hasattr(mends, 'around') else nullcontext()
        )
        with around:
            execute(module)
        if hasattr(mends, 'mend'):
            mends.mend(module)

    loader.exec_module = execute_and_mend  # type: ignore[attr-defined]


def install_mends(table: Table) -> None:
    """Mend the modules of a table: those imported already now, others as they come.

    Imports nothing but what mends a module that is there. May be called any number
    of times.
    """
    if any(
        isinstance(finder, MendingFinder) and finder.table == table
        for finder in sys.meta_path
    ):
        return
    sys.meta_path.insert(0, finder := MendingFinder(table))
    try:
        for name, mender in table.items():
            if name in sys.modules and hasattr(mends := import_module(mender), 'mend'):
                mends.mend(sys.modules[name])
    except Exception:
        sys.meta_path.remove(finder)  # refused again by the next import
        raise
