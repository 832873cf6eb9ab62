# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a predictor is trained for: the labels' values, their order, or both."""

import torch
from torch import Tensor

LOSSES = ('mse', 'rank', 'mse+rank')


def rank_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """RankNet over all pairs of a batch: how surely the better one is put first.

    log(1 + exp(output of the worse - output of the better)), weighted by how far the
    labels are apart. Burges et al., Learning to rank using gradient descent, 2005; the
    weights keep noise between almost equal labels from being learned.

    Args:
        outputs: (G,).
        targets: (G,), on the scale of the outputs.

    Returns:
        A scalar; 0 where no two targets differ.
    """
    gaps = targets[:, None] - targets[None, :]
    weights = gaps.clamp(min=0)
    costs = torch.nn.functional.softplus(outputs[None, :] - outputs[:, None])
    return (weights * costs).sum() / weights.sum().clamp(min=1e-12)


def regression_loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of a batch.

    Args:
        kind: One of ``LOSSES``.
        outputs: (G,) from the model.
        targets: (G,) scaled labels.
    """
    if kind == 'rank':
        return rank_loss(outputs, targets)
    error = torch.nn.functional.mse_loss(outputs, targets)
    return error + rank_loss(outputs, targets) if kind == 'mse+rank' else error


def check_loss(kind: str) -> str:
    """The loss's name, if there is one of that name.

    Raises:
        ValueError: There is none.
    """
    if kind not in LOSSES:
        raise ValueError(f'loss {kind!r} is unknown; there are {", ".join(LOSSES)}')
    return kind
