# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A trained predictor as one safetensors file: its weights, and what builds it."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hpml_mm.predictor import models
from hpml_mm.predictor.models.build import build_part
from hpml_mm.predictor.models.regressor import ScoreModel

FORMAT = 'hpml_mm predictor'
VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model with what is to be known about it.

    Attributes:
        model: Ready to predict.
        settings: The config that builds the model.
        fold: Whether its graphs have merged nodes, see ``GraphTable``.
        card: What it was trained on, in which units it predicts, how good it is:
            anything that JSON can hold.
    """

    model: ScoreModel
    settings: dict[str, Any]
    fold: bool
    card: dict[str, Any]


def save_predictor(
    path: str | Path, predictor: Predictor, dtype: torch.dtype = torch.float32
) -> None:
    """Write a predictor to a file, whole or not at all.

    Args:
        path: Target; its directory is made where it is missing.
        predictor: What to write.
        dtype: Of the weights in the file: ``torch.float16`` halves it. The labels'
            scale is written as it is.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    path = Path(path)
    tensors = {
        name: value.to(dtype) if value.dtype == torch.float32 else value
        for name, value in predictor.model.state_dict().items()
    }
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    notes = {
        'format': FORMAT,
        'version': str(VERSION),
        'settings': json.dumps(predictor.settings),
        'fold': json.dumps(predictor.fold),
        'card': json.dumps(predictor.card, allow_nan=False),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        save_file(tensors, temporary, notes)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_predictor(path: str | Path) -> Predictor:
    """Read what ``save_predictor`` has written; nothing in the file is ever run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no predictor, of another version, truncated or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no predictor {str(path)!r}')
    try:
        with safe_open(path, 'pt') as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f'{path} is not a predictor, or is truncated: {error}'
        ) from error
    if notes.get('format') != FORMAT:
        raise ValueError(f'{path} is a safetensors file, but not a predictor')
    if notes.get('version') != str(VERSION):
        raise ValueError(
            f'{path} is a predictor of version {notes.get("version")}; this program '
            f'reads version {VERSION}: train it again'
        )
    try:
        settings = json.loads(notes['settings'])
        fold, card = json.loads(notes['fold']), json.loads(notes['card'])
        _check_types(settings)
        model = build_part(settings)
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{path} is not a right predictor: {error}') from error
    return Predictor(model.eval(), settings, fold, card)


def _check_types(part: Any) -> None:
    """Let a file name our own parts alone: a registry would import and call anything.

    Raises:
        ValueError: It names something else.
    """
    if isinstance(part, dict):
        kind = part.get('type')
        if 'type' in part and str(kind).removeprefix('hpml_mm.') not in models.__all__:
            raise ValueError(f'it names {kind!r}, which is no part of a predictor')
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _check_types(inner)
