# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base class of all data sets of facial expressions."""

import logging
import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from hpml_mm.utils.messages import listed

from .classes import FER_CLASSES, SPLITS, parse_splits
from .duplicates import item_key


class BaseFERDataset(BaseDataset):
    """Faces with one of the seven expressions, in up to three splits.

    Each item holds ``gt_label``, ``split`` and ``img_path``; sources that
    keep their pixels in memory add ``img``. The transform ``LoadFace`` takes
    either.

    Args:
        data_root: Folder of the data.
        split: ``'train'``, ``'val'``, ``'test'`` or a list of them, which are
            concatenated in that order. Absent ones of a list are left out.
        ann_file: Annotation file, relative to ``data_root``.
        on_error: What to do with a damaged item: ``'raise'`` or ``'skip'``,
            which leaves it out and counts it in :attr:`num_skipped`.
        drop_crossing: Leave those training faces out whose very pixels occur in
            another split too. They are counted in :attr:`num_crossing`.
        **kwargs: Passed to :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: An argument is impossible, or none of the splits is there.
    """

    METAINFO: dict = {'classes': FER_CLASSES}

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        ann_file: str = '',
        on_error: str = 'raise',
        drop_crossing: bool = False,
        **kwargs,
    ) -> None:
        self.splits = parse_splits(split)
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        if drop_crossing and self.splits != ('train',):
            raise ValueError(
                'drop_crossing removes faces from the training split only, but '
                f'split is {split!r}'
            )
        self.on_error = on_error
        self.drop_crossing = drop_crossing
        self.num_skipped = 0
        self.num_crossing = 0
        data_root = os.path.expanduser(data_root)
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)
        if tuple(self._metainfo['classes']) != FER_CLASSES:
            raise ValueError(
                f'the classes and their order are fixed to {FER_CLASSES}, but '
                f'metainfo or classes says {tuple(self._metainfo["classes"])}'
            )

    @abstractmethod
    def load_splits(self, wanted: Sequence[str]) -> dict[str, list[dict]]:
        """Load the items of some splits.

        Args:
            wanted: The splits to load. Some may not exist.

        Returns:
            One entry for each split that exists: its items if it is wanted, else
            an empty list.
        """

    def load_data_list(self) -> list[dict]:
        """Load the chosen splits."""
        found = self.load_splits(SPLITS if self.drop_crossing else self.splits)
        chosen = [split for split in self.splits if split in found]
        if not chosen:
            raise ValueError(
                f'{self.source} has no split {" or ".join(map(repr, self.splits))}; '
                f'it has: {listed(found) or "none"}.{self._absence_hint()}'
            )
        items = [item for split in chosen for item in found[split]]
        return self._without_crossing(items, found) if self.drop_crossing else items

    def source_files(self) -> Iterable[str] | None:
        """List the files that the faces are read from; None if there are none."""
        return None

    @property
    def source(self) -> str:
        """Place that the items come from, for messages."""
        return self.ann_file or self.data_root

    def _absence_hint(self) -> str:
        """Hint for a user who asked for a split that is not there."""
        return ''

    def _without_crossing(
        self, items: list[dict], found: dict[str, list[dict]]
    ) -> list[dict]:
        others = {split: part for split, part in found.items() if split != 'train'}
        if not others:
            raise ValueError(
                f'drop_crossing has nothing to compare with: {self.source} holds '
                'the training split only'
            )
        foreign = {item_key(item) for part in others.values() for item in part}
        kept = [item for item in items if item_key(item) not in foreign]
        self.num_crossing = len(items) - len(kept)
        print_log(
            f'{self.source}: left out {self.num_crossing:,} of {len(items):,} training '
            f'faces whose pixels occur in {" or ".join(others)} too',
            logger='current',
        )
        return kept

    def _report_skipped(self, problems: list[str]) -> None:
        """Count damaged items and say so once."""
        self.num_skipped = len(problems)
        if problems:
            print_log(
                f'{self.source}: left out {len(problems):,} damaged items, the first: '
                f'{problems[0]}',
                logger='current',
                level=logging.WARNING,
            )

    def extra_repr(self) -> list[str]:
        """Give lines for the printed form."""
        return [
            f'Source: \t{self.source}',
            f'Splits: \t{", ".join(self.splits)}',
            f'Left out: \t{self.num_skipped} damaged, {self.num_crossing} crossing',
        ]
