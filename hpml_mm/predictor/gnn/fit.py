# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Train a predictor and use it, without a runner: for experiments with many seeds."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hpml_mm.predictor.data.graph_table import GraphTable

from .regressor import ScoreModel

SCHEDULES = ('constant', 'cosine')
#: Graphs in a batch of predictions: larger ones no longer fit into a core's cache.
PREDICT_BATCH = 32


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How to train; the defaults are AIO-P's for pre-training.

    Attributes:
        epochs: Passes over the training networks.
        batch_size: Graphs in a step.
        lr: Learning rate of Adam.
        weight_decay: AdamW's, 0 for plain Adam.
        schedule: One of ``SCHEDULES``; 'cosine' rises over the first tenth, and falls
            to 0.
        clip: Largest norm of a gradient.
        ema: Share that a moving average of the weights keeps at each step; None for
            the last weights. With it, the average is what is judged and returned.
        seed: Of the order of the networks.
    """

    epochs: int = 40
    batch_size: int = 32
    lr: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = 'constant'
    clip: float = 5.0
    ema: float | None = None
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


#: AIO-P's fine-tuning: one network a step, the last weights.
FINE_TUNE = FitSettings(epochs=100, batch_size=1)


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

    def __post_init__(self) -> None:
        if len(self.indices) != len(self.labels):
            raise ValueError(
                f'{len(self.indices)} networks with {len(self.labels)} labels'
            )

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def macs(self) -> np.ndarray:
        """Multiply-accumulate operations of each network, (G,)."""
        return self.table.macs[self.indices]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: With the weights of the best epoch, or the last where nothing judged it.
        epoch: Which one, from 1.
        dev_error: Mean absolute error in points of the dev networks; None without.
        losses: Mean loss of each epoch.
    """

    model: ScoreModel
    epoch: int
    dev_error: float | None
    losses: tuple[float, ...]


def fit(
    model: ScoreModel,
    train: Labelled,
    settings: FitSettings,
    dev: Labelled | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> Fitted:
    """Train a model in place; its target scaling is fitted on the training networks.

    Args:
        model: Parameters without ``requires_grad`` stay as they are.
        train: What to learn from.
        settings: How.
        dev: By their error, in percentage points as in the end, the best epoch is
            chosen; None for the last one.
        on_epoch: Called after each epoch with its number and mean loss.

    Raises:
        ValueError: The labels cannot be scaled, the model has no parameter to train,
            or a loss is not finite.
    """
    model.fit_scaler(torch.as_tensor(train.labels), torch.as_tensor(train.macs))
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError('fit: the model has no parameter with requires_grad')
    optimizer = _optimizer(parameters, settings)
    steps = settings.epochs * math.ceil(len(train) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(settings, steps))
    averaged = _averaged(model, settings)
    judged = model if averaged is None else averaged.module
    best, losses, rng = _Best(dev), [], np.random.default_rng(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        model.train()
        total = 0.0
        for rows in _batches(len(train), settings.batch_size, rng):
            loss = _step(model, train, rows, optimizer, settings.clip)
            schedule.step()
            if averaged is not None:
                averaged.update_parameters(model)
            total += loss * len(rows)
        losses.append(total / len(train))
        if not math.isfinite(losses[-1]):
            raise ValueError(f'fit: the loss of epoch {epoch} is {losses[-1]}')
        best.judge(judged, epoch)
        if on_epoch is not None:
            on_epoch(epoch, losses[-1])
    model.load_state_dict(best.state or copy.deepcopy(judged.state_dict()))
    model.eval()
    return Fitted(model, best.epoch, best.error, tuple(losses))


def fine_tune(
    model: ScoreModel, train: Labelled, settings: FitSettings = FINE_TUNE
) -> ScoreModel:
    """A copy of a trained model that has learnt from a few networks more.

    Scaling and parameters with ``requires_grad`` are the copy's own.

    Raises:
        ValueError: As for ``fit``.
    """
    return fit(copy.deepcopy(model), train, settings).model


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
        model.predict(
            on_device(table.batch(indices[start : start + PREDICT_BATCH]), device)
        )
        for start in range(0, len(indices), PREDICT_BATCH)
    ]
    return torch.cat(parts).cpu().numpy() if parts else np.empty(0)


def on_device(part: tuple | torch.Tensor, device: torch.device) -> tuple | torch.Tensor:
    """A batch with all of its tensors on a device."""
    if isinstance(part, torch.Tensor):
        return part.to(device)
    return type(part)(*(on_device(field, device) for field in part))


def _optimizer(parameters: list, settings: FitSettings) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.weight_decay else torch.optim.Adam
    return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def _rate(settings: FitSettings, steps: int) -> Callable[[int], float]:
    warm = max(steps // 10, 1)

    def factor(step: int) -> float:
        if settings.schedule == 'constant':
            return 1.0
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))

    return factor


def _averaged(model: ScoreModel, settings: FitSettings) -> AveragedModel | None:
    if settings.ema is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))


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
    batch = on_device(train.table.batch(train.indices[rows]), parameters[0].device)
    labels = torch.as_tensor(train.labels[rows]).to(parameters[0].device)
    optimizer.zero_grad()
    loss = model.loss(batch, labels)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return loss.item()


class _Best:
    """The weights of the epoch with the smallest error on the dev networks."""

    def __init__(self, dev: Labelled | None) -> None:
        self.dev = dev
        self.error: float | None = None
        self.state: dict | None = None
        self.epoch = 0

    def judge(self, model: ScoreModel, epoch: int) -> None:
        """Keep the model's weights if they are better than those so far."""
        if self.dev is None:
            self.epoch = epoch
            return
        predicted = predict(model, self.dev.table, self.dev.indices)
        error = float(np.abs(predicted - self.dev.labels).mean())
        if self.error is None or error < self.error:
            self.error, self.epoch = error, epoch
            self.state = copy.deepcopy(model.state_dict())
