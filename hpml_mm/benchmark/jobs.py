# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is compared, and what a measuring process has to be told."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MODES = ('data', 'train', 'infer', 'engine')
STOCK = 'stock'
# Input pipelines of other projects, written again in `sources.py`.
SOURCES = ('hpml-2023', 'light-fer')


@dataclass(frozen=True)
class Side:
    """One of the things compared.

    Attributes:
        label: Its name in tables and result rows.
        kind: ``'config'`` as it is, ``'stock'`` for the config's stock equivalent,
            the name of a source's pipeline, or, for the engine, ``'none'`` (MMEngine
            without any hook) and ``'plain'`` (a loop in plain PyTorch).
        config: The config file; that of the other side where ``kind`` is no config.
        options: Overrides by dotted key.
        elsewhere: Whether a stock side stands for another config than the one that it
            is compared with.
    """

    label: str
    kind: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    elsewhere: bool = False


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        mode: One of ``MODES``.
        side: What it measures.
        work_dir: Where its runner may write.
        loop: Whether ``train`` means the whole loop, loader and hooks included.
        batch_size: Instead of the side's own.
        workers: The same, for the loader's processes.
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
        """Keep the job in a file for :func:`read_job`."""
        path.write_text(json.dumps(asdict(self)), encoding='utf-8')


def read_job(path: Path) -> Job:
    """A job that :meth:`Job.write` kept."""
    fields = json.loads(path.read_text(encoding='utf-8'))
    return Job(**{**fields, 'side': Side(**fields['side'])})


def sides_of(
    mode: str,
    config: str,
    options: Mapping[str, Any],
    against: str | None,
    against_options: Mapping[str, Any],
) -> list[Side]:
    """The sides of a comparison: the config, then what it is compared with.

    Args:
        mode: One of ``MODES``.
        config: The config file.
        options: Its overrides.
        against: ``'stock'``, ``'stock:CONFIG'`` for the stock equivalent of another
            config, a source's name, another config, or None.
        against_options: Overrides of the other side; without any, the stock
            equivalent takes those of the config.

    Raises:
        ValueError: If the mode cannot be compared with that.
    """
    label = Path(config).stem.rpartition('::')[2]
    side = Side(label, 'config', config, dict(options))
    if mode == 'engine':
        return _engine_sides(side, against)
    if against is None:
        return [side]
    if against == STOCK:
        other = dict(against_options or options)
        return [side, Side(STOCK, STOCK, config, other)]
    kind, colon, path = against.partition(':')
    if kind == STOCK and colon:
        other = Side(STOCK, STOCK, path, dict(against_options), elsewhere=True)
        return [side, other]
    if against in SOURCES:
        if mode != 'data':
            raise ValueError(
                f'--against {against} is an input pipeline: use it with "data", not '
                f'with {mode!r}'
            )
        if against_options:
            raise ValueError(f'--against {against} takes no --against-options')
        return [side, Side(against, against, config, dict(options))]
    other_label = Path(against).stem.rpartition('::')[2]
    if other_label == label:
        other_label = f'{label}-2'
    return [side, Side(other_label, 'config', against, dict(against_options))]


def _engine_sides(side: Side, against: str | None) -> list[Side]:
    if against not in (None, STOCK):
        raise ValueError(
            f'--against {against}: "engine" compares the config with stock hooks, no '
            'hooks and plain PyTorch; leave --against out'
        )
    return [
        side,
        Side('stock-hooks', STOCK, side.config, side.options),
        Side('no-hooks', 'none', side.config, side.options),
        Side('plain-pytorch', 'plain', side.config, side.options),
    ]
