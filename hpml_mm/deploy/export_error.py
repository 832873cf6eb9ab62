# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Why a network cannot be exported, in one line that names what is to blame."""

import re
from collections.abc import Iterator
from traceback import walk_tb

from torch import nn

#: How the exporter names what it has no translation for.
_OPERATOR = re.compile(r"OpOverload\(op='([\w.:]+)'")


def export_problem(network: nn.Module, error: BaseException) -> str:
    """Name the operator without a translation, or the module that cannot be traced.

    Args:
        network: What was exported.
        error: What the exporter raised.
    """
    chain = list(_causes(error))
    reason = _first_line(chain[-1])
    for cause in chain:
        if found := _OPERATOR.search(str(cause)):
            reason = f'operator {found[1]} has no translation to ONNX'
    place = _deepest_module(network, chain)
    return f'the network cannot be exported: {place}{reason}'


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it, the first cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _deepest_module(network: nn.Module, chain: list[BaseException]) -> str:
    """The innermost module of the network whose code was running."""
    names = {id(module): name for name, module in network.named_modules()}
    for cause in reversed(chain):
        for frame, _ in reversed(list(walk_tb(cause.__traceback__))):
            module = frame.f_locals.get('self')
            if isinstance(module, nn.Module) and names.get(id(module)):
                return f'{names[id(module)]} ({type(module).__name__}): '
    return ''


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # One that ends in a colon says nothing without the next.
    count = 2 if lines and lines[0].endswith(':') else 1
    return ': '.join([type(error).__name__, ' '.join(lines[:count])]).rstrip(': ')
