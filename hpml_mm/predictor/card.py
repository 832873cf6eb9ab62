# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Card of a predictor: its training set and its scores."""

import dataclasses
from typing import Any

_DATASETS = {
    'imagenet': 'ImageNet',
    'cifar10': 'CIFAR-10',
    'cifar100': 'CIFAR-100',
    'imagenet16-120': 'ImageNet16-120',
    'coco': 'COCO',
    'mpii': 'MPII',
}
_MEASURES = {
    'top1(%)': 'top-1 (%)',
    'pixel_accuracy(%)': 'pixel accuracy (%)',
    'ssim(1)': 'SSIM',
    'neg_loss(1)': 'loss times -1',
    'box-ap(%)': 'box AP (%)',
    'mask-ap(%)': 'mask AP (%)',
    'pose-ap(%)': 'pose AP (%)',
    'pckh(%)': 'PCKh (%)',
    'pq(%)': 'PQ (%)',
}


@dataclasses.dataclass(frozen=True)
class Card:
    """Training set of a predictor, and its scores on other networks.

    Attributes:
        space: Search space, or collection, of the networks.
        label: Name of the label, as in a cache: 'imagenet/top1(%)'.
        method: One of ``training.METHODS``, or the name of a config.
        networks: Size of the training set.
        seed: Seed of its draw, by ``protocol.draw``.
        rest: Number of networks in the test set.
        scores: By method, 'predictor' the first, then the baselines: ``srcc(1)`` and
            ``mae(points)``, or ``mae(UNIT)``; None where there is no such number.
        table: Checksum of the table's networks and labels, by ``table_checksum``.
        origin: Training set before the fine-tuning.
        unit: Unit of scores and labels: 'percent', '1' for a number without one.
        greater_is_better: False for a loss or an error.
        note: Remark on the label: 'after 12 epochs'.
    """

    space: str
    label: str
    method: str
    networks: int
    seed: int
    rest: int
    scores: dict[str, dict[str, float | None]]
    table: str
    origin: str | None = None
    unit: str = 'percent'
    note: str = ''
    greater_is_better: bool = True

    @property
    def metric(self) -> str:
        """Label with its direction, as ``Bench`` takes it."""
        return f'{self.label}:{"max" if self.greater_is_better else "min"}'

    @property
    def error(self) -> str:
        """Name of the mean absolute error in ``scores``."""
        return f'mae({"points" if self.unit == "percent" else self.unit})'

    def shown(self, score: float) -> str:
        """Text of a score, or of a deviation, in its unit."""
        return f'{score:.{2 if self.unit == "percent" else 4}f}'

    @property
    def task(self) -> str:
        """Label in words, e.g. 'ImageNet top-1 (%) after 12 epochs'."""
        dataset, _, measure = self.label.partition('/')
        words = (_DATASETS.get(dataset, dataset), _MEASURES.get(measure, measure))
        return ' '.join(filter(None, (*words, self.note)))

    @property
    def short(self) -> str:
        """Training set in a few words."""
        return f'{self.networks:,} networks of {self.space}, {self.task}'

    @classmethod
    def from_json(cls, content: Any) -> 'Card':
        """Card of its fields, as a file holds them.

        Raises:
            ValueError: The content is of something else.
        """
        try:
            card = cls(**content)
        except TypeError as error:
            raise ValueError(f'its card is not right: {error}') from error
        texts = (card.space, card.label, card.method, card.table, card.unit, card.note)
        numbers = (card.networks, card.seed, card.rest)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int) for number in numbers)
            and isinstance(card.scores, dict)
            and isinstance(card.greater_is_better, bool)
        ):
            raise ValueError('its card has values of a wrong type')
        return card
