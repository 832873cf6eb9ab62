# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trained predictors shipped with the package, named by search space and task."""

from pathlib import Path

from hpml_mm.predictor.predictor import ScorePredictor
from hpml_mm.predictor.predictor_file import load_score_predictor
from hpml_mm.predictor.spaces import SPACES, get_space

_FOLDER = Path(__file__).parent
#: Also for networks of no search space: it was trained on the largest images.
DEFAULT = 'ofa-mbv3-w1.0'


def shipped_names() -> list[str]:
    """Names of the shipped predictors, the default first."""
    names = {path.stem for path in _FOLDER.glob('*.safetensors')}
    return [DEFAULT, *sorted(names - {DEFAULT})]


def named_shortly() -> str:
    """Names of the shipped predictors in a few words: tasks of a space together."""
    found: dict[str, list[str]] = {}
    for name in shipped_names():
        space = next((s for s in SPACES if name.startswith(f'{s}-')), None)
        found.setdefault(space or name, [])
        if space is not None:
            found[space].append(name.removeprefix(f'{space}-'))
    return ', '.join(
        f'{name}-TASK ({", ".join(tasks)})' if tasks else name
        for name, tasks in found.items()
    )


def find_predictor(name: str) -> ScorePredictor:
    """Load a shipped predictor by its name, or one from a file.

    Raises:
        FileNotFoundError: It is neither.
        ValueError: The file is no predictor, of another version, or damaged.
    """
    if name in shipped_names():
        return load_score_predictor(_FOLDER / f'{name}.safetensors')
    if not Path(name).is_file():
        raise FileNotFoundError(
            f'no predictor {name!r}: name a file, or one of {named_shortly()}'
        )
    return load_score_predictor(name)


def predictor_name(space: str | None, task: str | None = None) -> str:
    """Choose a shipped predictor.

    Args:
        space: Search space; None for networks of none.
        task: Task of the networks; None for the space's own, or its first.

    Returns:
        That of the task or of the space; the default where there is none.
    """
    if space in SPACES:
        task = task or get_space(space).task
    names = (f'{space}-{task}', space)
    return next((name for name in names if name in shipped_names()), DEFAULT)
