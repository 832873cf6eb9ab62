# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of a published table's networks with each task's decoder."""

from pathlib import Path

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space

from .protocol import Published


def task_benches(published: Published, folder: Path) -> list[Bench]:
    """Make a bench for each task, of all networks in the order of the table.

    Args:
        published: The table; greater labels are better.
        folder: Folder where the graphs are kept.
    """
    table = published.table
    found = []
    for metric, labels in zip(table.metrics, table.oriented.T, strict=True):
        task = metric.name.partition('/')[0]
        path = folder / f'{table.space}-{task}.safetensors'
        names = [f'{table.space}:{name}' for name in table.names]
        if not path.is_file() or GraphCache.load(path).names != names:
            home = get_space(table.space, task)
            archs = [home.decode(name) for name in table.names]
            rows = zip(names, archs, labels.tolist(), strict=True)
            cache = GraphCache.from_entries(
                Entry(
                    name, home.graph(arch), home.encode(arch), {metric.heading: label}
                )
                for name, arch, label in rows
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            cache.save(path)
        found.append(Bench(table.space, GraphCache.load(path), metric.heading))
    return found
