# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Plan of labels: their architectures, and what all of their trainings share."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.predictor.spaces import SearchSpace
from hpml_mm.utils.files import dump_strict, locked, replacing, to_strict, write_atomic
from hpml_mm.utils.text_file import read_json

# Draws for each architecture before a space counts as used up.
_DRAWS = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings that all trainings of one folder share.

    Attributes:
        space: Search space of the bodies.
        config: Config whose backbone they replace.
        digest: Of what the config holds.
        options: Overrides of the config, by dotted key.
        seed: Of the draw of architectures.
        supernet: Checkpoint that weights are cut out of; None to draw them.
        weights: Digest of what it holds; None without one.
        size: Height and width of the image that graphs are for; None for the config's.
        keep_checkpoints: True to keep the checkpoints of trainings.
    """

    space: str
    config: str
    digest: str
    options: Mapping[str, Any]
    seed: int
    supernet: str | None
    weights: str | None
    size: tuple[int, int] | None
    keep_checkpoints: bool


def file_digest(path: str) -> str:
    """Digest of a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with Path(path).expanduser().open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def claim_folder(folder: Path, plan: Plan, table: Path) -> None:
    """Note a plan in the folder of its trainings, or compare it with the one there.

    A supernet is copied into it: all trainings start from the same weights, though a
    training of the supernet may go on, and replace or delete its file.

    Args:
        folder: Folder of the trainings.
        plan: The plan.
        table: Table that belongs to the folder.

    Raises:
        ValueError: The folder holds trainings of another plan, or anything else, or
            the table is there without them.
    """
    note, wanted = folder / 'plan.json', to_strict(dataclasses.asdict(plan))
    with locked(note):
        if not note.is_file():
            if table.exists():
                raise ValueError(
                    f'{table} is no table of {folder}, where no labels have been begun:'
                    ' choose another --out'
                )
            others = [one for one in folder.iterdir() if not one.name.startswith('.')]
            if others:
                raise ValueError(
                    f'{folder}, where trainings would go, holds {others[0].name} and '
                    'no labels: choose another --out'
                )
            write_atomic(note, dump_strict(wanted))
        _refuse_others(folder, plan, wanted, read_json(note))
        if plan.supernet is not None:
            copy = own_supernet(folder, plan.supernet)
            if not copy.is_file():  # also where a command was killed before it
                with replacing(copy) as beside:
                    shutil.copyfile(Path(plan.supernet).expanduser(), beside)


def _refuse_others(
    folder: Path, plan: Plan, wanted: Mapping[str, Any], held: Any
) -> None:
    held = held if isinstance(held, dict) else {}
    same_weights = plan.weights is not None and held.get('weights') == plan.weights
    for key, value in wanted.items():
        if held.get(key) == value or (key == 'supernet' and same_weights):
            continue
        told = f'{key} {_short(held.get(key))}, and this command {_short(value)}'
        if key in ('digest', 'weights'):
            path = plan.config if key == 'digest' else plan.supernet
            told = f'another content of {path}'
        raise ValueError(
            f'{folder} holds labels with {told}: choose another --out, or delete it'
        )


def own_supernet(folder: Path, supernet: str) -> Path:
    """Path of the copy of a supernet in the folder of its trainings."""
    return folder.resolve() / f'supernet{Path(supernet).suffix}'


def sample_archs(space: SearchSpace, count: int, seed: int) -> list[str]:
    """Draw distinct architectures; a longer list begins with a shorter one.

    Raises:
        ValueError: ``count`` is below 1, or the space has fewer.
    """
    if count < 1:
        raise ValueError(f'-n {count}: at least 1 architecture is trained')
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    for _ in range(count * _DRAWS):
        found.setdefault(space.encode(space.sample(rng)))
        if len(found) == count:
            return list(found)
    raise ValueError(
        f'-n {count}: {space.name} gave {len(found)} architectures in '
        f'{count * _DRAWS:,} draws; take fewer'
    )


def chosen_slice(total: int, start: int, count: int | None) -> range:
    """Numbers of the architectures from ``start`` on.

    Args:
        total: Architectures in all.
        start: Number of the first one, from 0.
        count: How many; None for all that follow.

    Raises:
        ValueError: The slice is empty, or leads out of the list.
    """
    count = total - start if count is None else count
    if not 0 <= start < total or not 1 <= count <= total - start:
        raise ValueError(
            f'--start {start} --count {count}: a part of the architectures 0 to '
            f'{total - 1}, with at least one of them'
        )
    return range(start, start + count)


def _short(value: Any) -> str:
    return json.dumps(value)
