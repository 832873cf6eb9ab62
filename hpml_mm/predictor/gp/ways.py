# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What lies along a random way through a graph, from its output back to its input."""

import numpy as np

from .flow import Chains, Flow, Step, merges


def random_ways(flow: Flow, along: np.ndarray, count: int) -> np.ndarray:
    """Moments of what lies along a random way; each way back is as likely as others.

    Args:
        flow: Of ``count`` graphs.
        along: (N, W) what each node adds to a way.
        count: G.

    Returns:
        (G, 4W + R + 1): mean, covariance (R = W (W + 1) / 2) and skewness, in units of
        what is added; largest and smallest sums; log2 of the number of ways. 0 in
        graphs without any way.
    """
    chains = Chains.of(flow.edges, len(along))
    behind = chains.sums(along)
    edges, steps = merges(flow.edges, chains.heads)
    # Heads have a row each: what follows in a chain is only added to it.
    own = chains.heads == np.arange(len(along))
    rows = (np.cumsum(own) - 1)[chains.heads]
    states = _first(along[own])
    sources, passed = rows[edges[:, 0]], behind[edges[:, 0]]
    for step in steps:
        before = _moved(states[sources[step.edges]], passed[step.edges])
        mixed = _mixed(before, step, along.shape[1])
        states[rows[step.targets]] = _moved(mixed, along[step.targets])
    ends = np.flatnonzero(flow.ends)
    table = _table(_moved(states[rows[ends]], behind[ends]), along.shape[1])
    result = np.zeros((count, table.shape[1]))
    np.add.at(result, flow.graphs[ends], table)
    return result / np.bincount(flow.graphs[ends], minlength=count).clip(1)[:, None]


# A state is a row of mean, largest, smallest (each W), log2 of ways, third central
# moment (W) and covariance (R).


def _first(values: np.ndarray) -> np.ndarray:
    """States of nodes with nothing before them."""
    count, width = values.shape
    pairs = width * (width + 1) // 2
    return np.hstack([values, values, values, np.zeros((count, 1 + width + pairs))])


def _moved(states: np.ndarray, values: np.ndarray) -> np.ndarray:
    """States, which are changed, after values have been added to each way."""
    width = values.shape[1]
    for part in range(3):
        states[:, part * width : (part + 1) * width] += values
    return states


def _mixed(states: np.ndarray, step: Step, width: int) -> np.ndarray:
    """States of the step's targets, each a random one of those before it."""
    starts, counts = step.starts, step.counts
    share = (1 / counts)[:, None]
    rows, columns = np.triu_indices(width)
    mean, most, least, ways, skew, spread = _parts(states, width)
    middle = np.add.reduceat(mean, starts) * share
    off = mean - np.repeat(middle, counts, axis=0)
    skew = skew + off * (3 * spread[:, rows == columns] + off**2)
    moments = np.hstack([skew, spread + off[:, rows] * off[:, columns]])
    return np.hstack(
        [
            middle,
            np.maximum.reduceat(most, starts),
            np.minimum.reduceat(least, starts),
            np.logaddexp2.reduceat(ways, starts),
            np.add.reduceat(moments, starts) * share,
        ]
    )


def _table(states: np.ndarray, width: int) -> np.ndarray:
    mean, most, least, ways, skew, spread = _parts(states, width)
    roots = np.sign(spread) * np.sqrt(np.abs(spread))
    return np.hstack([mean, roots, np.cbrt(skew), most, least, ways])


def _parts(states: np.ndarray, width: int) -> list[np.ndarray]:
    sizes = (width, width, width, 1, width)
    return np.split(states, np.cumsum(sizes), axis=1)
