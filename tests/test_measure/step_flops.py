# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Counting of the operations of a function."""

from hpml_mm.measure.step_cost import StepFlops


def count(function):
    """Operations of one call."""
    flops = StepFlops()
    flops.start()
    try:
        function()
    finally:
        flops.stop()
    return flops
