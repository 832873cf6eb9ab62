# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Gaussian process regression on statistics of graphs, for few labelled networks.

Rasmussen and Williams, `Gaussian Processes for Machine Learning
<https://gaussianprocess.org/gpml>`_, chapters 2 and 5. Its few scales can be fitted
elsewhere, on networks of other spaces.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .features import Features, Task, TrainingSet
from .kernel import Kernel, log_scale

# First value of the noise, as in ``Kernel``, and width of the prior of all scales.
NOISE = math.log(0.01)
PRIOR_WIDTH = 3.0
JITTER = 1e-6


class Posterior(NamedTuple):
    """Posterior of the scores of ``G`` networks.

    Attributes:
        scores: (G,) median, in the labels' unit.
        std: (G,) standard deviation of a measurement: of the score and of the noise
            together.
        relative_std: (G,) posterior over prior standard deviation of the score, 0 to 1.
    """

    scores: np.ndarray
    std: np.ndarray
    relative_std: np.ndarray


class GaussianProcess(Kernel):
    """Gaussian process with a linear and a Matérn-5/2 kernel, see ``Kernel``.

    Args:
        sets: Number of feature sets.
    """

    def __init__(self, sets: int = 3) -> None:
        super().__init__(sets)
        self.noise = log_scale(NOISE)
        self._training: TrainingSet | None = None

    def fit(self, tasks: Sequence[Task], steps: int = 60, seed: int = 0) -> None:
        """Fit the kernel's scales to tasks: maximum a posteriori with a wide prior.

        Args:
            tasks: Each with labels of its own; they share the scales alone.
            steps: Steps of Adam.
            seed: Seed of the sample of a large task.

        Raises:
            ValueError: The labels of a task do not fit its transform, or do not differ.
        """
        rng = np.random.RandomState(seed)
        sets = [TrainingSet.of(task.sample(rng)) for task in tasks]
        start = [scale.detach().clone() for scale in self.parameters()]
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = sum(
                map(self._cost, sets), start=torch.zeros((), dtype=torch.float64)
            )
            for scale, first in zip(self.parameters(), start, strict=True):
                loss = loss + ((scale - first) / PRIOR_WIDTH).square().sum() / 2
            loss.backward()
            optimizer.step()

    def condition_on(self, task: Task) -> 'GaussianProcess':
        """Condition predictions on a task's networks.

        Raises:
            ValueError: The labels do not fit the task's transform, or do not differ.
        """
        return self._condition_on(TrainingSet.of(task))

    @torch.no_grad()
    def predict(self, statistics: Features) -> Posterior:
        """Posterior of the scores of networks.

        Raises:
            ValueError: The model was not conditioned on networks.
        """
        training = self._conditioned()
        features = training.place(statistics)
        cross = self.between(features, training.features)
        mean = (cross @ self._weights).squeeze(1)
        solved = torch.linalg.solve_triangular(self._root, cross.t(), upper=False)
        prior = self.prior(features)
        # The 1 is the constant of the kernel.
        variance = (prior + 1 - solved.square().sum(dim=0)).clamp(min=0)
        targets = (mean * training.std + training.mean).numpy()
        std = ((variance + self.noise.exp()).sqrt() * training.std).numpy()
        relative = (variance / prior).sqrt().clamp(max=1)
        transform = training.transform
        return Posterior(
            transform.inverse(targets),
            transform.spread(targets, std),
            relative.numpy(),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Scales and training set for a file.

        Raises:
            ValueError: The model was not conditioned on networks.
        """
        scales = self.state_dict().items()
        arrays = {f'scale.{name}': scale.numpy() for name, scale in scales}
        return arrays | self._conditioned().to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'GaussianProcess':
        """A model from the arrays of ``to_arrays``.

        Raises:
            KeyError, ValueError, RuntimeError: It did not give this.
        """
        training = TrainingSet.from_arrays(arrays)
        model = cls(len(training.features))
        scales = {
            name: torch.tensor(arrays[f'scale.{name}']) for name in model.state_dict()
        }
        model.load_state_dict(scales)
        return model._condition_on(training)

    def _conditioned(self) -> TrainingSet:
        if self._training is None:
            raise ValueError('GaussianProcess: condition_on labelled networks first')
        return self._training

    @torch.no_grad()
    def _condition_on(self, training: TrainingSet) -> 'GaussianProcess':
        self._training = training
        self._root = torch.linalg.cholesky(self._covariance(training))
        self._weights = torch.cholesky_solve(training.targets[:, None], self._root)
        return self

    def _covariance(self, training: TrainingSet) -> Tensor:
        noise = self.noise.exp() + JITTER
        diagonal = torch.diag(noise.expand(len(training.targets)))
        return self.between(training.features, training.features) + diagonal

    def _cost(self, training: TrainingSet) -> Tensor:
        """Negative logarithm of the marginal likelihood, without constants."""
        root = torch.linalg.cholesky(self._covariance(training))
        weights = torch.cholesky_solve(training.targets[:, None], root).squeeze(1)
        return training.targets @ weights / 2 + root.diagonal().log().sum()
