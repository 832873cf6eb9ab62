# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces in FER2013's CSV file."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpml_mm.registry import DATASETS
from hpml_mm.utils.messages import listed, shown

from .base import BaseFERDataset
from .classes import FER_CLASSES, SPLIT_USAGE, SPLITS, did_you_mean, split_of

COLUMNS = ('emotion', 'pixels', 'Usage')

SIDE = 48
"""Height and width of FER2013's faces in pixels."""


@DATASETS.register_module()
class FERCSVDataset(BaseFERDataset):
    """FER2013 as one CSV file with ``emotion``, ``pixels`` and ``Usage``.

    The columns may come in any order and with spaces around their names, as in
    ``icml_face_data.csv``. ``Training``, ``PublicTest`` and ``PrivateTest`` are the
    splits train, val and test. The faces stay in memory as ``img``, uint8 of shape
    (48, 48): 83 MB for all of FER2013. ``img_path`` names file and row.

    Label and usage of every row are checked, its pixels only if its split is
    wanted: parsing pixels is what takes the time.

    Args:
        data_root: Folder that holds the file.
        split: As in :class:`BaseFERDataset`.
        ann_file: The CSV file, relative to ``data_root``.
        **kwargs: Passed to :class:`BaseFERDataset`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: A column is missing, or a row is bad and ``on_error='raise'``.
    """

    def __init__(
        self,
        data_root: str = '',
        split: str | Sequence[str] = 'train',
        ann_file: str = 'fer2013.csv',
        **kwargs,
    ) -> None:
        super().__init__(data_root, split, ann_file=ann_file, **kwargs)

    def load_splits(self, wanted: Sequence[str]) -> dict[str, list[dict]]:
        """Parse the file, see :meth:`BaseFERDataset.load_splits`."""
        found: dict[str, list[dict]] = {}
        problems = []
        for place, row in read_rows(self.ann_file):
            try:
                label, split = parse_label(row['emotion']), parse_usage(row['Usage'])
                part = found.setdefault(split, [])
                image = parse_pixels(row['pixels']) if split in wanted else None
            except ValueError as error:
                problem = f'{place}: {error}'
                if self.on_error == 'raise':
                    raise ValueError(
                        f"{problem}; on_error='skip' leaves bad rows out"
                    ) from None
                problems.append(problem)
                continue
            if image is not None:
                part.append(
                    {'img': image, 'img_path': place, 'gt_label': label, 'split': split}
                )
        self._report_skipped(problems)
        return {split: found[split] for split in SPLITS if split in found}

    def source_files(self) -> list[str] | None:
        """Name the CSV file, if it is there."""
        return [self.ann_file] if os.path.isfile(self.ann_file) else None


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Read the rows of a FER2013 file with the place of each.

    Yields:
        ``'FILE, row N'``, where row 1 follows the header, and the three columns. A
        column is None where the row is too short.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The header lacks a column, or the file is no CSV.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no CSV file {str(path)!r}')
    # utf-8-sig also reads the byte-order mark that spreadsheets put in front.
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.reader(file)
        place = f'{path}, header'
        try:
            index = _find_columns(next(reader, []), path)
            for number, row in enumerate(reader, start=1):
                place = f'{path}, row {number}'
                if row:
                    yield (
                        place,
                        {n: row[i] if i < len(row) else None for n, i in index.items()},
                    )
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f'{place} or the next: not a CSV file: {error}') from error


def parse_label(text: str | None) -> int:
    """Read the label of a row, an integer from 0 to 6; ValueError for another."""
    if text is None or text.strip() not in _LABELS:
        raise ValueError(
            f'emotion is {_show(text)}, not one of 0 to {len(FER_CLASSES) - 1}'
        )
    return _LABELS[text.strip()]


def parse_usage(text: str | None) -> str:
    """Read the split of a row; ValueError for none of the three usages."""
    split = split_of(text or '')
    if split is None:
        usages = tuple(SPLIT_USAGE.values())
        raise ValueError(
            f'Usage is {_show(text)}, not one of {", ".join(usages)}'
            f'{did_you_mean(text or "", usages)}'
        )
    return split


def parse_pixels(text: str | None) -> np.ndarray:
    """Read the face of a row, uint8 of shape (48, 48); ValueError for no such."""
    if text is None:
        raise ValueError('pixels is missing')
    try:
        # Much faster than int() on each, and as strict: fromstring refuses what
        # is left over after the last number.
        values = np.fromstring(text, dtype=np.int64, sep=' ')
    except ValueError:
        bad = next((t for t in text.split() if not _is_integer(t)), text[-20:])
        raise ValueError(f'pixels holds {_show(bad)}, which is no integer') from None
    if values.size != SIDE * SIDE:
        raise ValueError(f'pixels holds {values.size} values, not {SIDE * SIDE}')
    outside = values[(values < 0) | (values > 255)]
    if outside.size:
        raise ValueError(f'pixels holds {outside[0]}, which is outside 0 to 255')
    return values.astype(np.uint8).reshape(SIDE, SIDE)


_LABELS = {str(label): label for label in range(len(FER_CLASSES))}


def _find_columns(header: list[str], path: Path) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    missing = [column for column in COLUMNS if column.lower() not in names]
    if missing:
        raise ValueError(
            f'{path} has no column {" or ".join(missing)}; its header has '
            f'{listed(header) or "none"}'
        )
    return {column: names.index(column.lower()) for column in COLUMNS}


def _is_integer(text: str) -> bool:
    return text.removeprefix('-').isdecimal()


def _show(text: str | None) -> str:
    return 'missing' if text is None else shown(text)
