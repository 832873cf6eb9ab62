# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of the methods of a case over seeds; finished runs are reused."""

import dataclasses
import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.metrics import score, srcc
from hpml_mm.predictor.predictor import Prediction
from hpml_mm.utils.env import environment
from hpml_mm.utils.files import dump_strict, write_atomic

from .cases import ADAPTER_LABELS, ADAPTER_SPACE, DRAW_SEEDS, PRETRAIN_SEEDS, Case
from .methods import METHODS
from .networks import Setting

# Fewer networks than this have hardly an order.
FAMILY_SIZE = 5


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a method with one seed on one sample.

    Attributes:
        case: Sample and table.
        method: One of ``METHODS``.
        seed: Seed of pre-training and first weights.
        draw: Seed of the sample.
    """

    case: Case
    method: str
    seed: int
    draw: int

    def path(self, folder: Path) -> Path:
        """File of its scores."""
        name = f'seed{self.seed}-draw{self.draw}.json'
        return folder / self.case.name / self.method / name


def cells(
    case: Case,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = PRETRAIN_SEEDS,
    draws: Sequence[int] = DRAW_SEEDS,
) -> list[Cell]:
    """All runs of a case, without repeats of deterministic methods.

    A method on which seeds have no influence has one for each sample, and an empty
    sample is always the same.

    Args:
        case: Sample and table.
        methods: Some of the case's; None for all.
        seeds: Seeds of pre-training and first weights.
        draws: Seeds of the samples.

    Raises:
        ValueError: The case does not compare such a method.
    """
    chosen = case.methods if methods is None else tuple(methods)
    for method in chosen:
        if method not in case.methods:
            raise ValueError(
                f'{case.name} does not compare {method!r}; it compares '
                f'{", ".join(case.methods)}'
            )
    return [
        Cell(case, method, seed, draw)
        for method in chosen
        for seed in (seeds if METHODS[method].seeded else seeds[:1])
        for draw in (draws if case.sample else draws[:1])
    ]


class Benches:
    """Tables, each loaded on first use.

    Args:
        folder: Folder of their caches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.lru_cache  # noqa: B019 - it lives as long as the program.
    def get(self, space: str, metric: str | None = None) -> Bench:
        """The table of a space, with its main label or another.

        Raises:
            FileNotFoundError: Its cache is not there.
            ValueError: It is no cache, of another space, or lacks labels.
        """
        path = self.folder / f'{space}.safetensors'
        if not path.is_file():
            what = {
                'mmpretrain': 'zoo',
                'zoo': 'zoo --package mmpretrain mmpose mmdet',
            }.get(space, f'build TABLE --space {space}')
            raise FileNotFoundError(
                f'there is no {path}; make it by `hpml nas cache {what} --out {path}`'
            )
        # Of published networks some have no score on a task.
        return Bench.of_cache(path, metric, space, labelled_only=space == 'zoo')


def run_cells(
    todo: Sequence[Cell], benches: Benches, folder: Path
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Run unfinished cells; write each result at once.

    Yields:
        Each run with its record: ``scores`` by metric, rank correlations of
        ``families``, ``seconds``, and the ``environment``.
    """
    store = folder / 'pretrained'
    # Once: what runs is the code that was there when the program began.
    measured_on = environment()
    for cell in todo:
        path = cell.path(folder)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            record = {**_run(cell, benches, store), 'environment': measured_on}
            write_atomic(path, dump_strict(record))
        yield cell, json.loads(path.read_text(encoding='utf-8'))


def _run(cell: Cell, benches: Benches, store: Path) -> dict[str, Any]:
    case, method = cell.case, METHODS[cell.method]
    bench = benches.get(case.space, case.metric)
    sources: tuple[Bench, ...] = ()
    adapters: tuple[Bench, ...] = ()
    if method.pretrained:
        sources = tuple(benches.get(space) for space in case.sources)
        if case.sources[0] == ADAPTER_SPACE:
            adapters = tuple(benches.get(ADAPTER_SPACE, m) for m in ADAPTER_LABELS)
    drawn = bench.draw(case.count(len(bench)), cell.draw)
    start = time.perf_counter()
    setting = Setting(bench, drawn, sources, adapters, cell.seed, store)
    found = method.run(setting)
    seconds = time.perf_counter() - start
    return {
        'scores': judge(found, bench.labels[drawn.test]),
        'families': {}
        if bench.families is None or case.metric
        else by_family(
            found.scores, bench.labels[drawn.test], bench.families[drawn.test]
        ),
        'sample': len(drawn.train),
        'predicted': len(drawn.test),
        'seconds': seconds,
    }


def judge(found: Prediction, labels: np.ndarray) -> Mapping[str, float | None]:
    """Metrics of a prediction, and shares of labels within 1 and 2 standard deviations.

    Of a normal distribution 68.3 % are within one standard deviation, 95.4 % within
    two.
    """
    scores = score(found.scores, labels)
    if not found.absolute:
        scores |= {'mae(points)': None, 'mape(%)': None}
    if found.std is not None:
        off = np.abs(found.scores - labels)
        for times in (1, 2):
            share = 100 * float((off <= times * found.std).mean())
            scores[f'within_{times}_spread(%)'] = share
    return scores


def by_family(
    scores: np.ndarray, labels: np.ndarray, families: np.ndarray
) -> dict[str, float | None]:
    """Spearman's rank correlation within each family of ``FAMILY_SIZE`` or more.

    Args:
        scores: (G,) predictions.
        labels: (G,) labels.
        families: (G,) names of families.
    """
    names, counts = np.unique(families, return_counts=True)
    return {
        str(name): srcc(scores[families == name], labels[families == name])
        for name in names[counts >= FAMILY_SIZE]
    }
