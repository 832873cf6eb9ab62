# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The search spaces by name."""

import functools

from .nas_bench_201 import NASBench201Space
from .nas_bench_macro import NASBenchMacroSpace
from .ofa_mbv3 import OFAMobileNetV3Space
from .ofa_proxyless import OFAProxylessSpace
from .ofa_resnet import OFAResNetSpace
from .space import SearchSpace

SPACES = {
    'ofa-mbv3-w1.0': functools.partial(OFAMobileNetV3Space, 1.0),
    'ofa-mbv3-w1.2': functools.partial(OFAMobileNetV3Space, 1.2),
    'ofa-pn-w1.3': functools.partial(OFAProxylessSpace, 1.3),
    'ofa-resnet50': OFAResNetSpace,
    'nas-bench-macro': NASBenchMacroSpace,
    'nas-bench-201': NASBench201Space,
}


def get_space(name: str) -> SearchSpace:
    """A search space.

    Args:
        name: One of ``SPACES``.

    Raises:
        ValueError: There is none of that name; the message lists them.
    """
    if name not in SPACES:
        raise ValueError(
            f'there is no search space {name!r}; there are {", ".join(SPACES)}'
        )
    return SPACES[name]()
