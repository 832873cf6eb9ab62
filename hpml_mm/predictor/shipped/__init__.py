# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trained predictors shipped with the package, named by their search space."""

from pathlib import Path

from hpml_mm.predictor.predictor import ScorePredictor
from hpml_mm.predictor.predictor_file import load_score_predictor

_FOLDER = Path(__file__).parent
#: Also for networks of no search space: it was trained on the largest images.
DEFAULT = 'ofa-mbv3-w1.0'


def shipped_names() -> list[str]:
    """Names of the shipped predictors, the default first."""
    names = {path.stem for path in _FOLDER.glob('*.safetensors')}
    return [DEFAULT, *sorted(names - {DEFAULT})]


def find_predictor(name: str) -> ScorePredictor:
    """Load a shipped predictor by its name, or one from a file.

    Raises:
        FileNotFoundError: It is neither.
        ValueError: The file is no predictor, of another version, or damaged.
    """
    if name in shipped_names():
        return load_score_predictor(_FOLDER / f'{name}.safetensors')
    if not Path(name).is_file():
        known = ', '.join(shipped_names())
        raise FileNotFoundError(
            f'no predictor {name!r}: name a file, or one of {known}'
        )
    return load_score_predictor(name)


def predictor_name(space: str | None) -> str:
    """Name of the shipped predictor for a search space; None if there is none."""
    return space if space in shipped_names() else DEFAULT
