# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The file of a predictor, of whatever kind: read and write it."""

from pathlib import Path

import numpy as np

from hpml_mm.predictor.gnn.predictor import NetworkPredictor
from hpml_mm.predictor.gp.predictor import KernelPredictor
from hpml_mm.utils.checked_file import FileFormat, read_checked, write_checked

from .bounds import Bounds
from .card import Card
from .predictor import Predictor

FORMAT = FileFormat('hpml_mm predictor', 1, 'a predictor', 'train it again')
_KINDS = {kind.kind: kind for kind in (KernelPredictor, NetworkPredictor)}


def save_predictor(path: str | Path, predictor: Predictor) -> None:
    """Write a predictor to a file, whole or not at all.

    Args:
        path: Target; its directory is made where it is missing.
        predictor: What to write.

    Raises:
        ValueError: Its card holds what JSON cannot.
        OSError: The disk is full, or the directory cannot be written to.
    """
    notes = {
        'kind': predictor.kind,
        'card': predictor.card.to_json(),
        'settings': predictor.settings(),
    }
    write_checked(Path(path), FORMAT, _arrays(predictor), notes)


def load_predictor(path: str | Path) -> Predictor:
    """Read what ``save_predictor`` has written; nothing in the file is ever run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no predictor, of another version, truncated or damaged.
    """
    path = Path(path)
    arrays, notes = read_checked(path, FORMAT)
    try:
        kind = _KINDS[notes['kind']]
        card = Card.from_json(notes['card'])
        bounds = Bounds.from_arrays(arrays)
        return kind.build(card, bounds, arrays, notes['settings'])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{path} is not a right predictor: {error}') from error


def rounded(predictor: Predictor) -> Predictor:
    """The predictor as a file would give it back: files hold fewer digits."""
    arrays = _arrays(predictor)
    bounds = Bounds.from_arrays(arrays)
    return type(predictor).build(predictor.card, bounds, arrays, predictor.settings())


def _arrays(predictor: Predictor) -> dict[str, np.ndarray]:
    return predictor.to_arrays() | predictor.bounds.to_arrays()
