# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMEngine data set of the labelled graphs of a cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.registry import DATASETS

from .bench import equal_groups
from .graph_set import GraphTable
from .protocol import Draw, draw, split_off

PARTS = ('train', 'dev', 'test', 'all')


@DATASETS.register_module()
class GraphDataset(Dataset):
    """Networks of a cache that have a label, as batches of graphs.

    A batch is a dict of ``inputs``, a ``GraphBatch``, and ``data_samples``, labels (G,)
    float64 in percent. It is made as a whole, so a loader needs no workers and hands it
    on by ``collate_fn=dict(type='hpml_mm.keep_batch')``.

    Networks are divided as in AIO-P: sorted by name, shuffled by a seed, the last ones
    are the sample. Equal ones, see ``equal_groups``, are never on both sides.

    Attributes:
        labelled: (N,) True for each network of the cache that has a label.
        indices: (G,) positions in the cache of the networks of this part.
        labels: (G,) theirs, in percent.
        drawn: Positions in the cache of the whole sample, and of the rest;
            None for 'all'.

    Args:
        cache: File that ``hpml nas cache build`` has written.
        metric: Name of the label in the cache, such as 'imagenet/top1(%)'.
        part: One of ``PARTS``: 'train' and 'dev' together are the sample, 'test' is the
            rest, 'all' are all.
        train: Size of the sample: a number, or a share below 1.
        dev: Share of these that the best epoch is chosen by; 0 for none.
        seed: Seed of the division.
        fold: As in ``GraphTable``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no cache, has no such metric, or cannot be divided so.
    """

    def __init__(
        self,
        cache: str | Path,
        metric: str,
        part: str = 'all',
        train: float = 0.8,
        dev: float = 0.1,
        seed: int = 12345,
        fold: bool = False,
    ) -> None:
        if part not in PARTS:
            raise ValueError(
                f'GraphDataset: part {part!r} is unknown; there are {", ".join(PARTS)}'
            )
        content = GraphCache.load(cache)
        labels = content.metric(metric)
        self.labelled = ~np.isnan(labels)
        known = np.flatnonzero(self.labelled)
        self.table = GraphTable(content, fold)
        self.drawn: Draw | None = None
        self.indices = known
        if part != 'all':
            self.drawn = _drawn(content, known, train, dev, seed)
            self.indices = _part(self.drawn, part, dev)
        if not len(self.indices):
            raise ValueError(
                f'GraphDataset: no network is left for {part!r} of {len(known)} with '
                f'{metric!r} in {cache}; change train={train:g} or dev={dev:g}'
            )
        self.labels = labels[self.indices]
        self.macs = self.table.macs[self.indices]
        self.metainfo = {'metric': metric, 'part': part}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One network, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """A whole batch, as torch's loader asks for it."""
        return {
            'inputs': self.table.batch(self.indices[indices]),
            'data_samples': torch.as_tensor(self.labels[indices]),
        }


def _drawn(
    cache: GraphCache, known: np.ndarray, train: float, dev: float, seed: int
) -> Draw:
    """Sample and rest of the networks with a label."""
    if train <= 0 or dev < 0 or dev >= 1:
        raise ValueError(
            f'GraphDataset: train={train:g} must be above 0, dev={dev:g} from 0 to 1'
        )
    names, groups = np.array(cache.names)[known], np.array(equal_groups(cache))[known]
    count = round(train * len(known)) if train < 1 else int(train)
    drawn = draw(names, count, seed, groups)
    return Draw(seed, known[drawn.train], known[drawn.test])


def _part(drawn: Draw, part: str, dev: float) -> np.ndarray:
    if part == 'test':
        return drawn.test
    if dev == 0:
        return drawn.train if part == 'train' else np.arange(0)
    kept, held = split_off(drawn.train, dev, drawn.seed)
    return kept if part == 'train' else held
