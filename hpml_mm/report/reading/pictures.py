# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Confusion matrices and pictures that hooks of a run have left."""

import base64
import io
import re
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hpml_mm.experiments.folders import starts
from hpml_mm.report.content import Confusion, Picture, Problem
from hpml_mm.utils.text_file import read_json

#: Bytes of all pictures of a report.
MOST_BYTES = 1_500_000
# Widths that are tried, the largest first.
_WIDTHS = (720, 480, 320)
_MATRICES = ('confusion', 'confusion_test')
_STEP = re.compile(r'(?P<name>.+)_(?P<step>\d+)')
_SHEETS = ('pose_worst', 'pose_fixed')


def read_confusion(run: Path, problems: list[Problem]) -> tuple[Confusion, ...]:
    """Read the counts that the ConfusionMatrixHook keeps beside its pictures."""
    found = []
    for folder in _MATRICES:
        for path in sorted((run / folder).rglob('*.json')):
            try:
                held = read_json(path)
                split = str(held['split'])
                labels = tuple(map(str, held['labels']))
                counts = tuple(tuple(map(int, row)) for row in held['counts'])
                if {len(counts), *map(len, counts)} != {len(labels)}:
                    raise ValueError(f'{path}: not a row and a column for each label')
            except (KeyError, TypeError, ValueError, OSError) as error:
                problems.append(Problem(str(path), f'no confusion matrix: {error}'))
                continue
            name = split if folder == 'confusion' else f'{split} (test)'
            found.append(Confusion(name, labels, counts))
    return tuple(found)


def picture_files(run: Path) -> list[tuple[str, str, Path]]:
    """List a run's pictures: title, caption and file; of each the last one.

    Those of confusion matrices whose counts are there are left out.
    """
    found = []
    for start in reversed(starts(run)):
        newest: dict[str, tuple[int, Path]] = {}
        for path in (start / 'vis_data' / 'vis_image').glob('*.png'):
            match = _STEP.fullmatch(path.stem)
            if match and match['name'].startswith(_SHEETS):
                step = int(match['step'])
                newest[match['name']] = max(
                    newest.get(match['name'], (-1, path)), (step, path)
                )
        if newest:
            found += [(n, f'step {s}', p) for n, (s, p) in sorted(newest.items())]
            break
    for folder in _MATRICES:
        for path in sorted((run / folder).rglob('*.png')):
            if not path.with_suffix('.json').is_file():
                found.append((f'{folder}/{path.stem}', path.name, path))
    return found


def embed(
    wanted: Iterable[tuple[int, str, str, Path]], problems: list[Problem]
) -> tuple[dict[int, list[Picture]], int]:
    """Make pictures small and put them into texts, as many as a page can bear.

    Args:
        wanted: Id of the run, title, caption and file of each picture.
        problems: Takes files that are no pictures.

    Returns:
        Pictures by the runs' ids, and how many were left out.
    """
    wanted = list(wanted)
    found: dict[int, list[Picture]] = {}
    each = MOST_BYTES // max(len(wanted), 1)
    left, out = MOST_BYTES, 0
    for run, title, text, path in wanted:
        try:
            uri = _small(path, max(each, 12_000))
        except (OSError, UnidentifiedImageError, ValueError) as error:
            problems.append(Problem(str(path), f'no picture: {error}'))
            continue
        if len(uri) > left:
            out += 1
            continue
        left -= len(uri)
        found.setdefault(run, []).append(Picture(title, text, uri))
    return found, out


def _small(path: Path, most: int) -> str:
    """Encode a picture, as large as ``most`` characters allow."""
    with Image.open(path) as opened:
        picture = opened.convert('RGB')
    uri = ''
    for width in _WIDTHS:
        copy = picture.copy()
        copy.thumbnail((width, 4 * width))
        held = io.BytesIO()
        copy.save(held, 'WEBP', quality=70)
        uri = f'data:image/webp;base64,{base64.b64encode(held.getvalue()).decode()}'
        if len(uri) <= most:
            break
    return uri
