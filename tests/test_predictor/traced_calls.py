# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Modules of one function, to be traced."""

from torch import nn

from hpml_mm.predictor.graphs.graph import validate
from hpml_mm.predictor.graphs.tracing.trace import trace


class Call(nn.Module):
    """A module that calls one function."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def called(function, input_shape=(4, 6, 8), **parts):
    graph = trace(Call(function, **parts), input_shape)
    validate(graph)
    return graph
