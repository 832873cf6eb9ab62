# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Sides of a comparison, and the job by which a process measures one side."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MODES = ('data', 'train', 'infer', 'engine')
STOCK = 'stock'
_FUNCTION = re.compile(r'\w[\w.]*:(\w+)')


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        label: Its name in tables and result rows.
        kind: ``'config'`` as it is, ``'stock'`` for what the config is in stock
            MMEngine, ``module:function`` of another input pipeline, or, for the
            engine, ``'none'`` (MMEngine without any hook) and ``'plain'`` (a loop in
            plain PyTorch).
        config: The config file; that of the other side where ``kind`` is no config.
        options: Overrides by dotted key.
        elsewhere: True if a stock side stands for another config than the one that it
            is compared with.
    """

    label: str
    kind: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    elsewhere: bool = False


@dataclass(frozen=True)
class Job:
    """Measurement of one process.

    Attributes:
        mode: One of ``MODES``.
        side: Side that it measures.
        work_dir: Work directory of its runner.
        loop: True if ``train`` means the whole loop, loader and hooks included.
        batch_size, workers: Instead of the side's own.
        threads: Threads of PyTorch; None leaves them to the side.
    """

    mode: str
    side: Side
    work_dir: str
    loop: bool = False
    batch_size: int | None = None
    workers: int | None = None
    threads: int | None = None

    def write(self, path: Path) -> None:
        """Write the job to a file that :func:`read_job` reads."""
        path.write_text(json.dumps(asdict(self)), encoding='utf-8')


def read_job(path: Path) -> Job:
    """Read what :meth:`Job.write` wrote."""
    fields = json.loads(path.read_text(encoding='utf-8'))
    return Job(**{**fields, 'side': Side(**fields['side'])})


def sides_of(
    mode: str,
    config: str,
    options: Mapping[str, Any],
    against: str | None,
    against_options: Mapping[str, Any],
) -> list[Side]:
    """List the sides of a comparison: the config first, then its baselines.

    ``against`` is ``'stock'``, ``'stock:CONFIG'`` for another config in stock MMEngine,
    ``module:function`` (see :func:`~.workload.open_pipeline`), another config, or None.
    ``'stock'`` without options of its own takes those of the config.

    Raises:
        ValueError: If the mode cannot be compared with that.
    """
    own = Side(_label(config), 'config', config, dict(options))
    if mode == 'engine':
        return _engine_sides(own, against)
    if against is None:
        return [own]
    if against == STOCK:
        other = Side(STOCK, STOCK, config, dict(against_options or options))
    elif against.startswith(f'{STOCK}:'):
        path = against.removeprefix(f'{STOCK}:')
        other = Side(STOCK, STOCK, path, dict(against_options), elsewhere=True)
    elif function := _FUNCTION.fullmatch(against):
        if mode != 'data' or against_options:
            raise ValueError(
                f'--against {against} is an input pipeline: use it with "data" and '
                f'without --against-options, not with {mode!r}'
            )
        label = function[1].replace('_', '-')
        other = Side(label, against, config, dict(options))
    else:
        label = _label(against)
        label = f'{label}-2' if label == own.label else label
        other = Side(label, 'config', against, dict(against_options))
    return [own, other]


def _label(config: str) -> str:
    return Path(config).stem.rpartition('::')[2]


def _engine_sides(side: Side, against: str | None) -> list[Side]:
    if against not in (None, STOCK):
        raise ValueError(
            f'--against {against}: "engine" compares the config with stock hooks, no '
            'hooks and plain PyTorch; leave --against out'
        )
    others = {'stock-hooks': STOCK, 'no-hooks': 'none', 'plain-pytorch': 'plain'}
    return [
        side,
        *(Side(n, kind, side.config, side.options) for n, kind in others.items()),
    ]
