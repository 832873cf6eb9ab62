# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Base class of search spaces."""

import abc
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from hpml_mm.predictor.graphs import Graph
from hpml_mm.utils.messages import shown

from .chain import Layer, build_chain, chain_graph

#: Draws of an architecture before it is given up.
_DRAWS = 1000


@dataclasses.dataclass(frozen=True)
class Slot:
    """One choice of a search space.

    Attributes:
        name: Readable name, e.g. 'stage 2 block 1 kernel'.
        choices: Its allowed values.
    """

    name: str
    choices: tuple


@dataclasses.dataclass(frozen=True)
class Arch:
    """A network of a search space: one value for each of its slots.

    Attributes:
        space: Name of the space.
        values: In the order of the space's slots; None where a slot decides nothing,
            such as the kernel of a block that is left out.
    """

    space: str
    values: tuple


class SearchSpace(abc.ABC):
    """Networks that differ in the values of a list of slots.

    Attributes:
        name: Its name, as ``get_space`` takes it.
        slots: Its decisions.
        resolution: Side in pixels of the images that its published labels are for.
        num_classes: Number of classes of those labels.
        bn_eps: Added to the variance in every BatchNorm.
        tasks: Tasks that its networks were trained on, each with an own decoder; none
            where there is one task.
        task: The one that networks are built for; empty where there is one.
    """

    name: str
    slots: tuple[Slot, ...]
    resolution: int = 224
    num_classes: int = 1000
    bn_eps: float = 1e-5
    tasks: tuple[str, ...] = ()
    task: str = ''

    @abc.abstractmethod
    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List the network's layers, the classifier last."""

    @abc.abstractmethod
    def _parse(self, form: str | Mapping | Sequence) -> Sequence:
        """Parse a written form into values, which are not checked yet."""

    @abc.abstractmethod
    def _format(self, arch: Arch) -> str:
        """Write an architecture in canonical form as a string."""

    def used(self, values: Sequence) -> list[bool]:
        """Mask of the slots that have an effect, given the values of all."""
        return [True] * len(values)

    def conflict(self, values: Sequence) -> str:
        """Tell why allowed values do not go together; empty where they do."""
        return ''

    def decode(self, form: str | Mapping | Sequence | Arch) -> Arch:
        """Read an architecture from any form that the space knows.

        Args:
            form: The space's string, its dictionary or list, or the JSON text of one of
                those; an ``Arch`` is checked and returned in canonical form.

        Raises:
            ValueError: The form cannot be read, or is outside the space.
        """
        if isinstance(form, str):
            form = form.strip()
            if form.startswith(('[', '{')):
                try:
                    form = json.loads(form)
                except (json.JSONDecodeError, RecursionError) as error:
                    raise ValueError(
                        f'{self.name}: {shown(form)} is not valid JSON: {error}'
                    ) from error
        if isinstance(form, Arch):
            arch = form
        elif isinstance(form, str | Mapping | Sequence):
            arch = Arch(self.name, tuple(self._parse(form)))
        else:
            raise ValueError(f'{self.name}: {shown(form)} is no architecture')
        self.validate(arch)
        return self.canonical(arch)

    def encode(self, arch: Arch) -> str:
        """Write the canonical string: equal for architectures of the same network.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        return self._format(self.canonical(arch))

    def canonical(self, arch: Arch) -> Arch:
        """Put None into each slot without effect; the network stays the same."""
        rows = zip(self.slots, arch.values, self.used(arch.values), strict=True)
        # The choice itself, as 3 and 3.0 are equal but written differently.
        values = (
            slot.choices[slot.choices.index(value)] if use else None
            for slot, value, use in rows
        )
        return Arch(self.name, tuple(values))

    def simplify(self, arch: Arch) -> Arch:
        """Drop parts that cannot reach the output; the network computes the same.

        Its graph may be smaller than that of ``arch``, and is what its accuracy depends
        on: the better input for a predictor. Here that is the canonical form.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        return self.canonical(arch)

    def validate(self, arch: Arch) -> None:
        """Check that an architecture belongs to the space.

        Raises:
            ValueError: It is of another space, or a slot has a value that it does not
                allow; the message names slot, value and allowed values.
        """
        if arch.space != self.name:
            raise ValueError(
                f'{self.name}: the architecture is one of {arch.space!r}; '
                f'read it with get_space({arch.space!r})'
            )
        if len(arch.values) != len(self.slots):
            raise ValueError(
                f'{self.name}: {len(arch.values)} values for {len(self.slots)} slots'
            )
        for index, slot in enumerate(self.slots):
            value = arch.values[index]
            if value is not None and value not in slot.choices:
                raise ValueError(
                    f'{self.name}: {slot.name} is {shown(value)}; allowed are '
                    f'{_listed(slot.choices)}'
                )
        used = self.used(arch.values)
        for slot, value, use in zip(self.slots, arch.values, used, strict=True):
            if use and value is None:
                raise ValueError(
                    f'{self.name}: {slot.name} is missing; allowed are '
                    f'{_listed(slot.choices)}'
                )
        if reason := self.conflict(arch.values):
            raise ValueError(f'{self.name}: {reason}')

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draw every slot uniformly and independently.

        Slots that decide nothing are drawn too, as AIO-P does, so that each slot's
        value stays independent of the others; ``encode`` leaves them out. Values that
        do not go together are drawn again.
        """
        return self._first(lambda: tuple(self._draw(slot, rng) for slot in self.slots))

    def mutate(self, arch: Arch, rng: np.random.Generator, p: float = 0.1) -> Arch:
        """Draw a neighbour of an architecture, in canonical form.

        Args:
            arch: Architecture to start from.
            rng: Source of all draws.
            p: Chance of each slot to take another of its values. A slot that begins to
                decide something is drawn uniformly.

        Raises:
            ValueError: ``p`` is not between 0 and 1, ``arch`` is outside the space, or
                a thousand draws were.
        """
        if not 0 <= p <= 1:
            raise ValueError(f'mutate: p must be between 0 and 1, got {p}')
        self.validate(arch)

        def neighbour() -> tuple:
            values = []
            for slot, value in zip(self.slots, arch.values, strict=True):
                if value is None:
                    values.append(self._draw(slot, rng))
                elif rng.random() < p and len(slot.choices) > 1:
                    others = tuple(v for v in slot.choices if v != value)
                    values.append(self._draw(Slot(slot.name, others), rng))
                else:
                    values.append(value)
            return tuple(values)

        return self.canonical(self._first(neighbour))

    def cross(self, first: Arch, second: Arch, rng: np.random.Generator) -> Arch:
        """Draw a child of two architectures: each slot is that of one of them.

        Where only one of them decides a slot, it is taken from that one.

        Raises:
            ValueError: One of them is outside the space.
        """
        self.validate(first)
        self.validate(second)
        rows = zip(self.slots, first.values, second.values, strict=True)
        slots = []
        for slot, *pair in rows:
            given = tuple(value for value in pair if value is not None)
            slots.append(Slot(slot.name, given or slot.choices))
        return self.canonical(
            self._first(lambda: tuple(self._draw(slot, rng) for slot in slots))
        )

    def for_task(self, task: str) -> 'SearchSpace':
        """Make the space whose networks are built for one of its ``tasks``.

        Raises:
            ValueError: There is no such task.
        """
        raise ValueError(f'{self.name}: no task {task!r}, its networks have one task')

    def build(self, arch: Arch, num_classes: int | None = None) -> nn.Sequential:
        """Build the network with PyTorch's own initialisation.

        Args:
            arch: The architecture.
            num_classes: Number of logits; None for the space's own.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        layers = self.layers(arch, num_classes or self.num_classes)
        return build_chain(layers, self.bn_eps)

    def graph(
        self,
        arch: Arch,
        resolution: int | None = None,
        num_classes: int | None = None,
    ) -> Graph:
        """Join the network's graph from the graphs of its blocks, each traced once.

        It equals the traced graph of ``build(arch)``.

        Args:
            arch: The architecture.
            resolution: Side of the square input in pixels; None for the space's own.
            num_classes: Number of logits; None for the space's own.

        Raises:
            ValueError: The architecture is outside the space, or the resolution is too
                small for the network.
        """
        self.validate(arch)
        side = self.resolution if resolution is None else resolution
        layers = self.layers(arch, num_classes or self.num_classes)
        return chain_graph(layers, (3, side, side))

    def table_flops(self, arch: Arch) -> int:
        """Count FLOPs as the published table does, whatever it means by them.

        Raises:
            ValueError: The architecture is outside the space.
        """
        return self.graph(arch).total_macs

    def _draw(self, slot: Slot, rng: np.random.Generator) -> Any:
        return slot.choices[int(rng.integers(len(slot.choices)))]

    def _first(self, draw: Callable[[], tuple]) -> Arch:
        """Repeat a draw until its values go together."""
        for _ in range(_DRAWS):
            values = draw()
            if not self.conflict(values):
                return Arch(self.name, values)
        raise ValueError(
            f'{self.name}: none of {_DRAWS:,} draws is in the space; change fewer slots'
        )


def _listed(choices: tuple) -> str:
    return ', '.join(str(choice) for choice in choices)
