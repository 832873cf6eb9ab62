# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training and prediction of graph networks without a runner."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.graph_batch import GraphBatch
from hpml_mm.predictor.data.graph_set import GraphTable

from .regressor import ScoreModel

SCHEDULES = ('constant', 'cosine')
#: Graphs in a batch of predictions: larger ones no longer fit into a core's cache.
PREDICT_BATCH = 32

Model = TypeVar('Model', bound=ScoreModel)


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """Settings of a training; the defaults are AIO-P's for pre-training.

    Attributes:
        epochs: Passes over the training networks.
        batch_size: Graphs in a step.
        lr: Learning rate of Adam.
        schedule: One of ``SCHEDULES``; 'cosine' rises over the first tenth, and falls
            to 0.
        clip: Largest norm of a gradient.
        seed: Seed of the order of the networks.
    """

    epochs: int = 40
    batch_size: int = 32
    lr: float = 1e-4
    schedule: str = 'constant'
    clip: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f'FitSettings: schedule {self.schedule!r} is unknown; there are '
                f'{", ".join(SCHEDULES)}'
            )
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f'FitSettings: epochs={self.epochs} and batch_size={self.batch_size} '
                'must be 1 or more'
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Networks with their labels.

    Attributes:
        table: Graphs, some of which are meant.
        indices: (G,) positions of these in the table.
        labels: (G,) in percent, of these.
    """

    table: GraphTable
    indices: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, bench: Bench, rows: np.ndarray, fold: bool) -> 'Labelled':
        """Select networks of a table."""
        table = bench.folded if fold else bench.table
        return cls(table, rows, bench.labels[rows])

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def macs(self) -> np.ndarray:
        """Multiply-accumulate operations of each network, (G,)."""
        return self.table.macs[self.indices]


def fit(
    model: ScoreModel,
    train: Labelled,
    settings: FitSettings,
    dev: Labelled | None = None,
) -> list[float]:
    """Train a model in place; the scale of labels is fitted on the training networks.

    Args:
        model: Parameters without ``requires_grad`` stay as they are.
        train: Networks to fit the model to.
        settings: Settings of the training.
        dev: Networks by whose mean absolute error in points the best epoch is chosen;
            None for the last one.

    Returns:
        Mean loss of each epoch.

    Raises:
        ValueError: The labels cannot be scaled, the model has no parameter to train,
            or a loss is not finite.
    """
    model.fit_scaler(torch.as_tensor(train.labels), torch.as_tensor(train.macs))
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError('fit: the model has no parameter with requires_grad')
    # Fused: with one network a step, a loop over tensors takes a quarter of the time.
    optimizer = torch.optim.Adam(parameters, lr=settings.lr, fused=True)
    steps = settings.epochs * math.ceil(len(train) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(settings, steps))
    losses, rng = [], np.random.default_rng(settings.seed)
    least, best = math.inf, None
    for epoch in range(1, settings.epochs + 1):
        model.train()
        total = 0.0
        for rows in _batches(len(train), settings.batch_size, rng):
            total += _step(model, train, rows, optimizer, settings.clip) * len(rows)
            schedule.step()
        losses.append(total / len(train))
        if not math.isfinite(losses[-1]):
            raise ValueError(f'fit: the loss of epoch {epoch} is {losses[-1]}')
        if dev is not None:
            error = np.abs(predict(model, dev.table, dev.indices) - dev.labels).mean()
            if error < least:
                least, best = error, copy.deepcopy(model.state_dict())
    if best is not None:
        model.load_state_dict(best)
    model.eval()
    return losses


def fine_tune(model: Model, train: Labelled, settings: FitSettings) -> Model:
    """Fit a copy of a trained model to a few more networks.

    The scale of the labels and parameters with ``requires_grad`` are the copy's own.

    Raises:
        ValueError: As for ``fit``.
    """
    tuned = copy.deepcopy(model)
    fit(tuned, train, settings)
    return tuned


@torch.no_grad()
def predict(
    model: ScoreModel, table: GraphTable, indices: np.ndarray | None = None
) -> np.ndarray:
    """Predicted scores in percent, float64.

    Args:
        model: A trained model.
        table: Graphs.
        indices: Positions of those wanted; None for all.

    Raises:
        ValueError: The model was not trained.
    """
    indices = np.arange(len(table)) if indices is None else np.asarray(indices)
    device = next(model.parameters()).device
    model.eval()
    parts = [
        model.predict(_on_device(table.batch(rows), device))
        for rows in np.split(indices, range(PREDICT_BATCH, len(indices), PREDICT_BATCH))
        if len(rows)
    ]
    return torch.cat(parts).cpu().numpy() if parts else np.empty(0)


def _on_device(batch: GraphBatch, device: torch.device) -> GraphBatch:
    """A batch with all of its tensors on a device."""

    def moved(part: Tensor | tuple) -> Any:
        if isinstance(part, Tensor):
            return part.to(device)
        return type(part)(*map(moved, part))

    return moved(batch)


def _rate(settings: FitSettings, steps: int) -> Callable[[int], float]:
    warm = max(steps // 10, 1)

    def factor(step: int) -> float:
        if settings.schedule == 'constant':
            return 1.0
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))

    return factor


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(count)
    yield from (order[start : start + size] for start in range(0, count, size))


def _step(
    model: ScoreModel,
    train: Labelled,
    rows: np.ndarray,
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> float:
    parameters = optimizer.param_groups[0]['params']
    batch = _on_device(train.table.batch(train.indices[rows]), parameters[0].device)
    labels = torch.as_tensor(train.labels[rows]).to(parameters[0].device)
    optimizer.zero_grad()
    loss = model.loss(batch, labels)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return loss.item()
