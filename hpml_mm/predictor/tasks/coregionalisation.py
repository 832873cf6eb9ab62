# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Gaussian process over several tasks at once: intrinsic coregionalisation.

Bonilla et al., `Multi-task Gaussian process prediction
<https://papers.nips.cc/paper/3189-multi-task-gaussian-process-prediction>`_; Alvarez et
al., `Kernels for vector-valued functions <https://arxiv.org/abs/1106.6251>`_, 4.2.
"""

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor, nn

from hpml_mm.predictor.gp.features import Axes, Features
from hpml_mm.predictor.gp.kernel import Kernel, log_scale
from hpml_mm.predictor.gp.regressor import JITTER, NOISE, PRIOR_WIDTH
from hpml_mm.predictor.gp.targets import RankNormal, TargetTransform

# Labels of a task that the scales are fitted on; predictions use all of them.
MAX_FITTED = 60
# First correlation of two tasks, which is also the middle of its prior, and the prior's
# width.
_CORRELATION, _WEIGHT_WIDTH = 0.7, 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Observations:
    """Labels that were observed; a hole is none of them.

    Attributes:
        networks: (N,) position of the network of each.
        tasks: (N,) its task.
        targets: (N,) transformed label, standardised by task.
    """

    networks: Tensor
    tasks: Tensor
    targets: Tensor

    def take(self, rows: np.ndarray) -> 'Observations':
        """Some of them."""
        picked = torch.as_tensor(rows)
        return Observations(
            self.networks[picked], self.tasks[picked], self.targets[picked]
        )


class CoregionalisedProcess(nn.Module):
    """Gaussian process of which tasks share the kernel of networks.

    cov(f_s(x), f_t(y)) = B_st k(x, y), where B = w w' + diag(v) says how the tasks go
    together and k is ``Kernel``. Each task has noise of its own. Labels are transformed
    and standardised by task. With one task it is ``GaussianProcess``.

    Args:
        tasks: Number of tasks.
        sets: Number of feature sets.
    """

    def __init__(self, tasks: int, sets: int) -> None:
        super().__init__()
        self.kernel = Kernel(sets)
        self.noise = log_scale(NOISE, tasks)
        weight = math.sqrt(_CORRELATION) if tasks > 1 else 0.0
        self.weight = nn.Parameter(torch.full((tasks,), weight, dtype=torch.float64))
        self.weight.requires_grad_(tasks > 1)
        self.own = log_scale(math.log(1 - weight**2), tasks)
        self.own.requires_grad_(tasks > 1)

    @property
    def correlations(self) -> np.ndarray:
        """Correlations (T, T) of the tasks, as fitted."""
        with torch.no_grad():
            shared = self._shared().numpy()
        scales = np.sqrt(shared.diagonal())
        return shared / np.outer(scales, scales)

    def fit(
        self,
        features: Features,
        labels: np.ndarray,
        transform: type[TargetTransform] = RankNormal,
        steps: int = 60,
        seed: int = 0,
    ) -> 'CoregionalisedProcess':
        """Fit scales and B, maximum a posteriori, and condition on all labels.

        Args:
            features: Features of (G,) networks.
            labels: (G, T) labels; NaN where there is none.
            transform: Transform of each task's labels.
            steps: Steps of Adam.
            seed: Seed of the sample of tasks with many labels.

        Raises:
            ValueError: A task has no labels, or none that differ.
        """
        self._axes = [Axes.of(group) for group in features.feature_sets]
        self._features = self._place(features)
        self._transforms: list[TargetTransform] = []
        self._scales: list[tuple[float, float]] = []
        observed = self._observe(np.asarray(labels, np.float64), transform)
        rng = np.random.RandomState(seed)
        rows = [
            rng.permutation(np.flatnonzero(observed.tasks.numpy() == task))[:MAX_FITTED]
            for task in range(labels.shape[1])
        ]
        self._maximise(observed.take(np.concatenate(rows)), steps)
        self._condition_on(observed)
        return self

    @torch.no_grad()
    def predict(self, features: Features, task: int) -> tuple[np.ndarray, np.ndarray]:
        """Median score and standard deviation of a measurement, (G,) each.

        Args:
            features: Features of (G,) networks.
            task: Position of the task.
        """
        placed = self._place(features)
        shared = self._shared()
        near = self.kernel.between(placed, self._features)[:, self._known.networks]
        cross = near * shared[task, self._known.tasks]
        mean = (cross @ self._weights).squeeze(1)
        solved = torch.linalg.solve_triangular(self._root, cross.t(), upper=False)
        prior = (self.kernel.prior(placed) + 1) * shared[task, task]
        variance = (prior - solved.square().sum(dim=0)).clamp(min=0)
        middle, scale = self._scales[task]
        targets = (mean * scale + middle).numpy()
        std = ((variance + self.noise[task].exp()).sqrt() * scale).numpy()
        transform = self._transforms[task]
        return transform.inverse(targets), transform.spread(targets, std)

    def _observe(
        self, labels: np.ndarray, transform: type[TargetTransform]
    ) -> Observations:
        networks, tasks, targets = [], [], []
        for task, column in enumerate(labels.T):
            known = np.flatnonzero(np.isfinite(column))
            if len(np.unique(column[known])) < 2:
                raise ValueError(
                    f'task {task} has {len(known)} labels, of which none differs: '
                    'nothing can be fitted to them; take more networks, or leave it out'
                )
            fitted = transform.of(column[known])
            raw = fitted.forward(column[known])
            self._transforms.append(fitted)
            self._scales.append((float(raw.mean()), float(raw.std())))
            networks.append(known)
            tasks.append(np.full(len(known), task))
            targets.append((raw - raw.mean()) / raw.std())
        parts = (np.concatenate(part) for part in (networks, tasks, targets))
        return Observations(*map(torch.as_tensor, parts))

    def _maximise(self, observed: Observations, steps: int) -> None:
        free = [one for one in self.parameters() if one.requires_grad]
        start = [one.detach().clone() for one in free]
        widths = [_WEIGHT_WIDTH if one is self.weight else PRIOR_WIDTH for one in free]
        optimizer = torch.optim.Adam(free, lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            root = torch.linalg.cholesky(self._covariance(observed))
            weights = torch.cholesky_solve(observed.targets[:, None], root).squeeze(1)
            loss = observed.targets @ weights / 2 + root.diagonal().log().sum()
            for one, first, width in zip(free, start, widths, strict=True):
                loss = loss + ((one - first) / width).square().sum() / 2
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def _condition_on(self, observed: Observations) -> None:
        self._known = observed
        self._root = torch.linalg.cholesky(self._covariance(observed))
        self._weights = torch.cholesky_solve(observed.targets[:, None], self._root)

    def _covariance(self, observed: Observations) -> Tensor:
        placed = [one[observed.networks] for one in self._features]
        pairs = self._shared()[observed.tasks][:, observed.tasks]
        noise = self.noise.exp()[observed.tasks] + JITTER
        return self.kernel.between(placed, placed) * pairs + torch.diag(noise)

    def _shared(self) -> Tensor:
        return torch.outer(self.weight, self.weight) + torch.diag(self.own.exp())

    def _place(self, features: Features) -> list[Tensor]:
        pairs = zip(features.feature_sets, self._axes, strict=True)
        return [axes.place(group) for group, axes in pairs]
