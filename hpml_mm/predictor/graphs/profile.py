# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Costs of each node of a graph, and of the network as a whole."""

import dataclasses
from typing import Any

from rich.table import Table

from hpml_mm.utils.console import table_console

from .graph import Graph, neighbours, running_order


@dataclasses.dataclass(frozen=True)
class NodeProfile:
    """Description and cost of one node.

    Attributes:
        name: Module path, or operator.
        op: Its operation in the vocabulary.
        detail: Kernel and stride, such as ``3x3 /2``; empty for most nodes.
        inputs: Channels, height and width of what it reads: ``3x224x224``.
        outputs: The same of what it writes.
        macs: Multiply-accumulate operations for one image.
        params: Parameters.
    """

    name: str
    op: str
    detail: str
    inputs: str
    outputs: str
    macs: int
    params: int


def profile(graph: Graph) -> list[NodeProfile]:
    """Profile all nodes of a graph, in topological order."""
    labels, rows = graph.labels, []
    for index in running_order(graph):
        h_in, h_out, w_in, w_out, c_in, c_out = graph.resolutions[index].tolist()
        rows.append(
            NodeProfile(
                name=graph.names[index],
                op=labels[index],
                detail=_detail(graph, index),
                inputs=f'{c_in}x{h_in}x{w_in}',
                outputs=f'{c_out}x{h_out}x{w_out}',
                macs=int(graph.macs[index]),
                params=int(graph.params[index]),
            )
        )
    return rows


def _detail(graph: Graph, index: int) -> str:
    parts = []
    if index < graph.weighted:
        height, width = graph.shapes[index, 2:].tolist()
        if height and width:
            parts.append(f'{height}x{width}')
    vertical, horizontal = graph.strides[index].tolist()
    if vertical == horizontal != 1:
        parts.append(f'/{vertical}')
    elif vertical != horizontal:
        parts.append(f'/{vertical}x{horizontal}')
    return ' '.join(parts)


def print_profile(graph: Graph, title: str, top: int | None = None) -> None:
    """Print a table of the nodes that cost something, and the totals.

    Args:
        graph: The network.
        title: Heading.
        top: Only so many nodes, the most expensive first; None for all that have MACs
            or parameters, in the order in which they run.
    """
    rows = profile(graph)
    shown = [row for row in rows if row.macs or row.params]
    if top is not None:
        shown = sorted(rows, key=lambda row: (-row.macs, -row.params))[:top]
    table = Table(title=title, title_justify='left', show_footer=True)
    table.add_column('node', overflow='fold', footer=f'{len(rows):,} nodes')
    for heading in ('operation', 'in', 'out'):
        table.add_column(heading, no_wrap=True)
    total = graph.total_macs
    table.add_column('MACs', justify='right', no_wrap=True, footer=f'{total:,}')
    table.add_column('%', justify='right', no_wrap=True)
    params = f'{graph.total_params:,}'
    table.add_column('parameters', justify='right', no_wrap=True, footer=params)
    for row in shown:
        share = f'{100 * row.macs / total:.1f}' if total else ''
        operation = f'{row.op} {row.detail}'.strip()
        counts = (f'{row.macs:,}', share, f'{row.params:,}')
        table.add_row(row.name, operation, row.inputs, row.outputs, *counts)
    table_console().print(table)
    print(totals_line(graph))


def profile_record(graph: Graph, name: str) -> dict[str, Any]:
    """Content of :func:`print_profile` for JSON, with all nodes."""
    return {
        'name': name,
        'macs': graph.total_macs,
        'params': graph.total_params,
        'nodes': [dataclasses.asdict(row) for row in profile(graph)],
    }


def totals_line(graph: Graph) -> str:
    """The totals of a network in one line; its depth is that of weighted nodes."""
    return (
        f'{graph.total_macs / 1e9:.4f} GMACs ({graph.total_macs:,}), '
        f'{graph.total_params:,} parameters, {graph.num_nodes} nodes, '
        f'{len(graph.edges)} edges, depth {depth(graph)}'
    )


def depth(graph: Graph) -> int:
    """Count the weighted nodes on the longest path from the input to the output."""
    own = [int(node < graph.weighted) for node in range(graph.num_nodes)]
    longest = list(own)
    readers, _ = neighbours(graph)
    for node in running_order(graph):
        for reader in readers[node]:
            longest[reader] = max(longest[reader], longest[node] + own[reader])
    return max(longest, default=0)
