# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search spaces: networks that are written as short strings."""

import functools
from collections.abc import Callable

from .nas_bench_101 import NASBench101Space
from .nas_bench_201 import NASBench201Space
from .nas_bench_macro import NASBenchMacroSpace
from .ofa_mobile import OFAMobileNetV3Space, OFAProxylessSpace
from .ofa_resnet import OFAResNetSpace
from .space import Arch, SearchSpace, Slot
from .transnas.networks import TransNASMacroSpace, TransNASMicroSpace

__all__ = ['SPACES', 'Arch', 'SearchSpace', 'Slot', 'get_space']

SPACES: dict[str, Callable[[], SearchSpace]] = {
    'ofa-mbv3-w1.0': functools.partial(OFAMobileNetV3Space, 1.0),
    'ofa-mbv3-w1.2': functools.partial(OFAMobileNetV3Space, 1.2),
    'ofa-pn-w1.3': functools.partial(OFAProxylessSpace, 1.3),
    'ofa-resnet50': OFAResNetSpace,
    'nas-bench-macro': NASBenchMacroSpace,
    'nas-bench-101': NASBench101Space,
    'nas-bench-201': NASBench201Space,
    'transnas-macro': TransNASMacroSpace,
    'transnas-micro': TransNASMicroSpace,
}


def get_space(name: str, task: str | None = None) -> SearchSpace:
    """Make the search space of a name in ``SPACES``.

    Args:
        name: Its name.
        task: One of its ``tasks``; None for the first.

    Raises:
        ValueError: There is none of that name, or it has no such task; the message
            lists them.
    """
    if name not in SPACES:
        raise ValueError(
            f'there is no search space {name!r}; there are {", ".join(SPACES)}'
        )
    space = SPACES[name]()
    return space if task is None else space.for_task(task)
