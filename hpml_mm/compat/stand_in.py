# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Modules that stand in for packages that are not installed."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class StandIn(Loader, MetaPathFinder):
    """Last of the finders, so that it serves only what none of the others has.

    Args:
        served: Module -> the one whose names it gets; None for a package itself.
    """

    def __init__(self, served: Mapping[str, str | None]) -> None:
        self.served = served

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Serve the modules of the table."""
        if fullname not in self.served:
            return None
        # The folder of an installed one has been searched, and lacks the module.
        if path:
            return None
        return ModuleSpec(fullname, self, is_package=self.served[fullname] is None)

    def exec_module(self, module: ModuleType) -> None:
        """Give a module the names of the one that stands in."""
        if (source := self.served[module.__name__]) is None:
            return
        names = vars(importlib.import_module(source))
        vars(module).update({k: v for k, v in names.items() if k[:2] != '__'})


def install(served: Mapping[str, str | None]) -> None:
    """Let imports find the modules of a table where nothing else is found.

    Imports nothing, and may be called any number of times with one table.
    """
    if not any(
        isinstance(finder, StandIn) and finder.served is served
        for finder in sys.meta_path
    ):
        sys.meta_path.append(StandIn(served))
