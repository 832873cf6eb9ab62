# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cases of the comparison: a table, a sample size, and the methods."""

import dataclasses

# AIO-P's seeds: of the sample draws, and of the pre-trainings.
DRAW_SEEDS = (12345, 1, 2, 3, 4)
PRETRAIN_SEEDS = (12345, 1, 2)

_OFA, _MACRO, _CELLS = 'ofa-mbv3-w1.0', 'nas-bench-macro', 'nas-bench-201'
_ZOO = 'mmpretrain'
_COSTS = ('macs', 'params', 'ridge')
_LEARNERS = ('kernel', 'gnn', 'residual-gnn')
_FEATURES = ('kernel-no-skewness', 'kernel-no-covariance')
_PRETRAINED = ('kernel', 'kernel-pretrained', 'residual-gnn-pretrained')
_ZERO = ('zero-kernel', 'zero-residual-gnn')
_AIOP = tuple(
    f'{shot}-{method}'
    for shot in ('zero', 'tuned')
    for method in ('gnn', 'gnn-scaled', 'aiop')
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Case: the rest of a table is predicted from a sample.

    Attributes:
        name: Name of the case, as in the rows of results.
        space: Space of the table.
        sample: Networks in it; below 1 a share of the table.
        methods: To compare. Others are measured against 'ridge', or where
            networks have no architecture to write down, against 'macs'.
        sources: Spaces to pre-train on.
        metric: Label; None for the space's own.
    """

    name: str
    space: str
    sample: float
    methods: tuple[str, ...]
    sources: tuple[str, ...] = ()
    metric: str | None = None

    def count(self, networks: int) -> int:
        """Size of the sample of a table of ``networks`` networks."""
        share = 0 < self.sample < 1
        return round(self.sample * networks) if share else int(self.sample)


CASES = {
    case.name: case
    for case in (
        Case('ofa-80%', _OFA, 0.8, (*_COSTS, 'ridge-sums', *_LEARNERS, *_FEATURES)),
        Case('ofa-50', _OFA, 50, (*_COSTS, 'ridge-sums', *_LEARNERS, *_FEATURES)),
        Case(
            'ofa-20',
            _OFA,
            20,
            (*_COSTS, 'ridge-sums', *_PRETRAINED, *_FEATURES, *_AIOP),
            (_CELLS, _MACRO),
        ),
        Case('macro-500', _MACRO, 500, (*_COSTS, *_LEARNERS, *_FEATURES)),
        Case(
            'macro-20',
            _MACRO,
            20,
            (*_COSTS, *_PRETRAINED, *_FEATURES, *_AIOP),
            (_CELLS, _OFA),
        ),
        Case('zoo-0', _ZOO, 0, (*_COSTS[:2], *_ZERO), (_OFA,)),
        Case(
            'zoo-20',
            _ZOO,
            20,
            (*_COSTS[:2], *_PRETRAINED),
            (_OFA, _CELLS, _MACRO),
        ),
        *(
            Case(
                f'zoo-{task}-20',
                'zoo',
                20,
                (*_COSTS[:2], 'kernel', 'trees', 'mean', 'mean-size'),
                metric=f'coco/{task}-ap(%)',
            )
            for task in ('box', 'mask', 'pose')
        ),
        *(
            Case(f'zoo-{task}-0', 'zoo', 0, _COSTS[:2], metric=f'coco/{task}-ap(%)')
            for task in ('box', 'mask', 'pose')
        ),
        Case(
            'cells-500',
            _CELLS,
            500,
            (*_COSTS, 'ridge-pairs', *_LEARNERS, *_FEATURES),
        ),
        Case('cells-1000', _CELLS, 1000, ('ridge', 'kernel', *_FEATURES)),
    )
}
# Other labels of one source, for AIO-P's adapters.
ADAPTER_SPACE = _CELLS
ADAPTER_LABELS = ('cifar100/top1(%)', 'imagenet16-120/top1(%)')
