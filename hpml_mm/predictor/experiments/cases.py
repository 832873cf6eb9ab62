# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is asked of each table, and which methods answer."""

import dataclasses

_OFA, _MACRO, _CELLS = 'ofa-mbv3-w1.0', 'nas-bench-macro', 'nas-bench-201'
_COSTS = ('macs', 'params', 'ridge')
_LEARNERS = ('kernel', 'gnn', 'residual-gnn', 'residual-gnn-ranked')
_PRETRAINED = ('kernel', 'kernel-pretrained', 'residual-gnn-pretrained')
_AIOP = tuple(
    f'{shot}-{method}'
    for shot in ('zero', 'tuned')
    for method in ('gnn', 'gnn-scaled', 'aiop')
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A sample of a table, from which its rest is predicted.

    Attributes:
        name: Of the case, as in the rows of results.
        space: Whose table.
        sample: Networks in it; below 1 a share of the table.
        methods: That are compared. 'ridge' is what the others are measured against.
        sources: Spaces to pre-train on.
    """

    name: str
    space: str
    sample: float
    methods: tuple[str, ...]
    sources: tuple[str, ...] = ()

    def count(self, networks: int) -> int:
        """Networks of the sample, of a table of so many."""
        return round(self.sample * networks) if self.sample < 1 else int(self.sample)


CASES = {
    case.name: case
    for case in (
        Case('ofa-80%', _OFA, 0.8, (*_COSTS, 'ridge-sums', *_LEARNERS)),
        Case('ofa-50', _OFA, 50, (*_COSTS, 'ridge-sums', *_LEARNERS)),
        Case(
            'ofa-20',
            _OFA,
            20,
            (*_COSTS, 'ridge-sums', *_PRETRAINED, *_AIOP),
            (_CELLS, _MACRO),
        ),
        Case('macro-500', _MACRO, 500, (*_COSTS, *_LEARNERS)),
        Case('macro-20', _MACRO, 20, (*_COSTS, *_PRETRAINED, *_AIOP), (_CELLS, _OFA)),
        Case('cells-500', _CELLS, 500, (*_COSTS, 'ridge-pairs', *_LEARNERS)),
    )
}
# Other labels of NAS-Bench-201, for AIO-P's adapters.
ADAPTER_LABELS = ('cifar100/top1(%)', 'imagenet16-120/top1(%)')
