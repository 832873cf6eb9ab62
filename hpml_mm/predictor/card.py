# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is to be known of a predictor: what it learnt from, and how good it is."""

import dataclasses
from typing import Any

_DATASETS = {
    'imagenet': 'ImageNet',
    'cifar10': 'CIFAR-10',
    'cifar100': 'CIFAR-100',
    'imagenet16-120': 'ImageNet16-120',
}
_MEASURES = {'top1(%)': 'top-1 (%)'}


@dataclasses.dataclass(frozen=True)
class Card:
    """A predictor's origin and its scores on networks that it did not learn from.

    Attributes:
        space: Search space, or collection, of the networks.
        label: What is predicted, as in a cache: 'imagenet/top1(%)'.
        method: How it was trained.
        networks: How many it learnt from.
        seed: Of their draw, by ``protocol.draw``.
        rest: How many of the others it was judged on.
        scores: By method, 'predictor' the first, then what it is to be compared with:
            ``srcc(1)`` and ``mae(points)``, None where there is no such number.
        origin: What it had learnt before it was fine-tuned.
        unit: Of scores and labels.
        note: What else is to be said of the label: 'after 12 epochs'.
        table: Checksum of the table's networks and labels, by ``table_checksum``; None
            in older files.
    """

    space: str
    label: str
    method: str
    networks: int
    seed: int
    rest: int
    scores: dict[str, dict[str, float | None]]
    origin: str | None = None
    unit: str = 'percent'
    note: str = ''
    table: str | None = None

    @property
    def task(self) -> str:
        """What is predicted, in words: 'ImageNet top-1 (%) after 12 epochs'."""
        return f'{self._measure} {self.note}'.strip()

    @property
    def _measure(self) -> str:
        dataset, slash, measure = self.label.partition('/')
        if not slash:
            return self.label
        dataset = _DATASETS.get(dataset, dataset)
        return f'{dataset} {_MEASURES.get(measure, measure)}'

    @property
    def short(self) -> str:
        """The origin in a few words."""
        return f'{self.networks:,} networks of {self.space}, {self.task}'

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> 'Card':
        """What ``to_json`` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            card = cls(**content)
        except TypeError as error:
            raise ValueError(f'its card is not right: {error}') from error
        texts = (card.space, card.label, card.method, card.unit, card.note)
        numbers = (card.networks, card.seed, card.rest)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(number, int) for number in numbers)
            and isinstance(card.scores, dict)
            and isinstance(card.table, str | None)
        ):
            raise ValueError('its card has values of a wrong type')
        return card
