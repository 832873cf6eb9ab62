# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors that can be saved, and their file format."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.fit import predict
from hpml_mm.predictor.gnn.regressor import ScoreModel, build_part
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.utils.checked_file import FileFormat, read_checked, write_checked

from .card import Card
from .predictor import Prediction, ScorePredictor
from .training_range import TrainingRange

FORMAT = FileFormat(
    'hpml_mm predictor',
    2,
    'a predictor',
    'train it again by `hpml nas train CACHE -n N --out FILE`',
)
# Parts that a file may name: a registry would import and call anything.
_PARTS = (
    'AIOPHead',
    'GraphConvEncoder',
    'GraphRegressor',
    'ResidualEncoder',
    'SkipHead',
)
# Graphs that are predicted at once: each has a row of distances to the training set.
_CHUNK = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class GPPredictor(ScorePredictor):
    """Gaussian process with its training set.

    Attributes:
        model: Conditioned on the training set.
    """

    kind: ClassVar[str] = 'gp'
    model: GaussianProcess

    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Scores with their standard deviation."""
        chunks = np.split(rows, range(_CHUNK, len(rows), _CHUNK))
        parts = [self.model.predict(graphs.statistics.take(chunk)) for chunk in chunks]
        scores, std, relative = map(np.concatenate, zip(*parts, strict=True))
        return Prediction(scores, std, relative_std=relative)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Scales and training set."""
        return self.model.to_arrays()

    @classmethod
    def build(
        cls,
        card: Card,
        training_range: TrainingRange,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> Self:
        """Predictor of the arrays of a file."""
        return cls(card, training_range, GaussianProcess.from_arrays(arrays))


@dataclasses.dataclass(frozen=True, eq=False)
class GNNPredictor(ScorePredictor):
    """Graph network.

    Attributes:
        model: Ready to predict.
        config: Config of the model.
        fold: True if its graphs have merged nodes, see ``GraphTable``.
    """

    kind: ClassVar[str] = 'gnn'
    model: ScoreModel
    config: dict[str, Any]
    fold: bool

    def predict(self, graphs: GraphSet, rows: np.ndarray) -> Prediction:
        """Scores alone."""
        table = graphs.folded if self.fold else graphs.table
        return Prediction(predict(self.model, table, rows))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The weights."""
        weights = self.model.state_dict().items()
        return {f'model.{name}': weight.cpu().numpy() for name, weight in weights}

    def settings(self) -> dict[str, Any]:
        """Config of the model and form of its graphs."""
        return {'config': self.config, 'fold': self.fold}

    @classmethod
    def build(
        cls,
        card: Card,
        training_range: TrainingRange,
        arrays: Mapping[str, np.ndarray],
        settings: Mapping[str, Any],
    ) -> Self:
        """Predictor of the weights and the config of a file."""
        config, fold = settings['config'], settings['fold']
        check_parts(config)
        model = build_part(config, ScoreModel)
        weights = {
            name.removeprefix('model.'): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith('model.')
        }
        model.load_state_dict(weights)
        return cls(card, training_range, model.eval(), config, fold)


def check_parts(config: Any) -> None:
    """Refuse a model whose config names other types than our own parts.

    Raises:
        ValueError: It names another.
    """
    if isinstance(config, dict):
        kind = config.get('type')
        if 'type' in config and str(kind).removeprefix('hpml_mm.') not in _PARTS:
            raise ValueError(
                f'{kind!r} is no part of a predictor; there are {", ".join(_PARTS)}'
            )
        config = list(config.values())
    if isinstance(config, list):
        for inner in config:
            check_parts(inner)


_KINDS: dict[str, type[ScorePredictor]] = {
    kind.kind: kind for kind in (GPPredictor, GNNPredictor)
}


def save_score_predictor(path: str | Path, predictor: ScorePredictor) -> None:
    """Write a predictor to a file, atomically.

    Args:
        path: Target; its directory is made where it is missing.
        predictor: Any kind.

    Raises:
        ValueError: Its card holds what JSON cannot.
        OSError: The disk is full, or the directory cannot be written to.
    """
    notes = {
        'kind': predictor.kind,
        'card': dataclasses.asdict(predictor.card),
        'settings': predictor.settings(),
    }
    write_checked(Path(path), FORMAT, _arrays(predictor), notes)


def load_score_predictor(path: str | Path) -> ScorePredictor:
    """Load a predictor from its file, which holds no code.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no predictor, of another version, truncated or damaged.
    """
    path = Path(path)
    arrays, notes = read_checked(path, FORMAT)
    try:
        kind = _KINDS[notes['kind']]
        card = Card.from_json(notes['card'])
        training_range = TrainingRange.from_arrays(arrays)
        return kind.build(card, training_range, arrays, notes['settings'])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f'{path} is not a right predictor: {error}') from error


def as_stored(predictor: ScorePredictor) -> ScorePredictor:
    """Predictor after a round trip through its file, which holds fewer digits."""
    arrays, settings = _arrays(predictor), predictor.settings()
    training_range = TrainingRange.from_arrays(arrays)
    return type(predictor).build(predictor.card, training_range, arrays, settings)


def _arrays(predictor: ScorePredictor) -> dict[str, np.ndarray]:
    return predictor.to_arrays() | predictor.range.to_arrays()
