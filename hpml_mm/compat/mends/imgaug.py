# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Answer the import of imgaug in MMDetection, for which one transform needs it.

imgaug has had no release since 2020, and does not import on NumPy 2. The stand-in is
there only while the module that imports it is executed: ``import imgaug`` elsewhere,
and ``importlib.util.find_spec('imgaug')``, say the truth.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

NAMES = (
    'imgaug',
    'imgaug.augmenters',
    'imgaug.augmentables',
    'imgaug.augmentables.lines',
    'imgaug.augmentables.segmaps',
)


class StandIn(ModuleType):
    """Module with every name; calling one of them raises."""

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(name)
        self._reason = reason

    def __getattr__(self, name: str) -> type:
        # Not imgaug's: importlib and inspect look for such names on any module.
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def refuse(self: object, *args, **kwargs) -> NoReturn:
            raise ImportError(message) from reason

        reason = self._reason
        message = (
            f'{self.__name__}.{name} needs imgaug, which cannot be imported here '
            f'({reason}) and is no longer maintained; augment with Albu instead'
        )
        return type(name, (), {'__init__': refuse})


def stand_ins(reason: Exception) -> dict[str, StandIn]:
    """Build the package and its submodules, each an attribute of its parent."""
    modules = {name: StandIn(name, reason) for name in NAMES}
    for name in NAMES[1:]:
        parent, _, child = name.rpartition('.')
        setattr(modules[parent], child, modules[name])
    return modules


@contextmanager
def around(module: ModuleType) -> Iterator[None]:
    """Provide a stand-in for imgaug where it cannot be imported.

    Args:
        module: Module that is about to be executed; it is left alone.
    """
    try:
        for name in NAMES:
            importlib.import_module(name)
    # With NumPy 2 it fails with an AttributeError.
    except (ImportError, AttributeError) as error:
        # A failed import may leave those of its submodules that did not fail.
        before = {name: sys.modules[name] for name in NAMES if name in sys.modules}
        sys.modules.update(stand_ins(error))
        try:
            yield
        finally:
            for name in NAMES:
                del sys.modules[name]
            sys.modules.update(before)
    else:
        yield
