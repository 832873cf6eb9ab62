# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A predictor that learns from a few networks: a Gaussian process on their statistics.

Rasmussen and Williams, `Gaussian Processes for Machine Learning
<https://gaussianprocess.org/gpml>`_, chapters 2 and 5. Besides a score it tells how
sure it is. Its few scales can be learnt elsewhere, on networks of other spaces.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hpml_mm.predictor.prediction import Prediction

from .features import Known, Task, some
from .statistics import Statistics

# Where the scales start, which is also where their prior has its middle, in units of
# the spread of the labels; and the prior's width. All are logarithms.
_LINEAR, _JOINT, _DISTANCE, _NOISE = map(math.log, (0.3, 0.3, 0.1, 0.01))
_PRIOR_WIDTH = 3.0
_JITTER = 1e-6


class KernelRegressor(nn.Module):
    """Gaussian process with a linear and a Matérn-5/2 kernel.

    Each group of statistics has a weight in the sum of linear kernels, and one in the
    distance of the other. Labels are seen as -log(100 - label): the same factor in the
    error is the same distance, however good networks are.

    Args:
        groups: Number of groups of statistics.
    """

    def __init__(self, groups: int = 3) -> None:
        super().__init__()
        self.linear = _scale(_LINEAR, groups)
        self.distance = _scale(_DISTANCE, groups)
        self.joint = _scale(_JOINT)
        self.noise = _scale(_NOISE)
        self._known: Known | None = None

    def learn(self, tasks: Sequence[Task], steps: int = 60, seed: int = 0) -> None:
        """Choose the scales: the most likely ones, given the tasks and a wide prior.

        Args:
            tasks: Each with labels of its own; they share the scales alone.
            steps: Of Adam.
            seed: Of the networks that are taken from a large task.

        Raises:
            ValueError: The labels of a task cannot be learnt from.
        """
        rng = np.random.RandomState(seed)
        known = [Known.of(some(task, rng)) for task in tasks]
        start = [scale.detach().clone() for scale in self.parameters()]
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = sum(self._cost(one) for one in known)
            for scale, first in zip(self.parameters(), start, strict=True):
                loss = loss + ((scale - first) / _PRIOR_WIDTH).square().sum() / 2
            loss.backward()
            optimizer.step()

    def condition(self, task: Task) -> 'KernelRegressor':
        """Take a task's networks as those that predictions are drawn from.

        Raises:
            ValueError: Its labels cannot be learnt from.
        """
        return self._draw_from(Known.of(task))

    @torch.no_grad()
    def predict(self, statistics: Statistics) -> Prediction:
        """Predict scores.

        Raises:
            ValueError: The model has no networks to draw from.
        """
        known = self._conditioned()
        groups = known.place(statistics)
        cross = self._kernel(groups, known.groups)
        mean = (cross @ self._weights).squeeze(1)
        solved = torch.linalg.solve_triangular(self._root, cross.t(), upper=False)
        own = self.joint.exp() + sum(
            weight.exp() * group.square().sum(dim=1)
            for weight, group in zip(self.linear, groups, strict=True)
        )
        # The 1 is the constant of _kernel.
        left = (own + 1 - solved.square().sum(dim=0)).clamp(min=0)
        errors = torch.exp(-(mean * known.spread + known.mean))
        # The label is 100 - error; a small change of the logarithm changes it so.
        points = (left + self.noise.exp()).sqrt() * known.spread * errors
        doubt = (left / own).sqrt().clamp(max=1)
        return Prediction((100 - errors).numpy(), points.numpy(), doubt=doubt.numpy())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Scales and networks for a file.

        Raises:
            ValueError: The model has no networks to draw from.
        """
        scales = self.state_dict().items()
        arrays = {f'scale.{name}': scale.numpy() for name, scale in scales}
        return arrays | self._conditioned().to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'KernelRegressor':
        """A model from what ``to_arrays`` gave.

        Raises:
            KeyError, ValueError, RuntimeError: It did not give this.
        """
        known = Known.from_arrays(arrays)
        model = cls(len(known.groups))
        scales = {
            name: torch.tensor(arrays[f'scale.{name}']) for name in model.state_dict()
        }
        model.load_state_dict(scales)
        return model._draw_from(known)

    def _conditioned(self) -> Known:
        if self._known is None:
            raise ValueError('KernelRegressor: condition it on labelled networks first')
        return self._known

    @torch.no_grad()
    def _draw_from(self, known: Known) -> 'KernelRegressor':
        self._known = known
        self._root = torch.linalg.cholesky(self._covariance(known))
        self._weights = torch.cholesky_solve(known.targets[:, None], self._root)
        return self

    def _kernel(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        # The 1 is a constant that all labels share: their mean is not known exactly.
        linear = torch.addmm(
            torch.ones((), dtype=torch.float64),
            _weighted(first, self.linear),
            _weighted(second, self.linear).t(),
        )
        one, two = (_weighted(groups, self.distance) for groups in (first, second))
        lengths = one.square().sum(1)[:, None] + two.square().sum(1)
        squared = torch.addmm(lengths, one, two.t(), alpha=-2)
        steps = (5 * squared.clamp(min=0) + 1e-12).sqrt()
        near = (1 + steps + steps.square() / 3) * torch.exp(-steps)
        return linear + self.joint.exp() * near

    def _covariance(self, known: Known) -> Tensor:
        noise = self.noise.exp() + _JITTER
        diagonal = torch.diag(noise.expand(len(known.targets)))
        return self._kernel(known.groups, known.groups) + diagonal

    def _cost(self, known: Known) -> Tensor:
        """Negative logarithm of how likely the labels are, without constants."""
        root = torch.linalg.cholesky(self._covariance(known))
        weights = torch.cholesky_solve(known.targets[:, None], root).squeeze(1)
        return known.targets @ weights / 2 + root.diagonal().log().sum()


def _weighted(groups: list[Tensor], weights: Tensor) -> Tensor:
    """All groups side by side, so that weights are in their products."""
    parts = zip(groups, weights, strict=True)
    return torch.cat([group * (weight / 2).exp() for group, weight in parts], dim=1)


def _scale(value: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.full(shape, value, dtype=torch.float64))
