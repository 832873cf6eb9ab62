# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Check that learning rate schedules end with their run.

MMEngine trains on at the last rate: a cosine of 24 epochs in a run of 40 trains
sixteen epochs at a rate of 0, without a word.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from .slips import own_files

_OUR_CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
_LENGTH = ('train_cfg.max_', 'param_scheduler')
_REMEDY = 'change both, or give --cut-short if the run is to be no more than a trial'


def check_schedule(cfg: Config, changes: Iterable[str]) -> None:
    """Compare the end of each parameter's schedule with the end of the run.

    Args:
        cfg: The config of a training run.
        changes: Dotted keys that the command line overrides.

    Raises:
        ValueError: If one ends elsewhere, or has a milestone beyond the end, and the
            config is this project's or the command line changes its length. Elsewhere
            the author may have meant it: a warning.
    """
    problems = schedule_problems(cfg)
    if not problems:
        return
    changed = any(key == 'train_cfg' or key.startswith(_LENGTH) for key in changes)
    if changed or any(_OUR_CONFIGS in f.resolve().parents for f in own_files(cfg)):
        raise ValueError('\n'.join(f'{problem}; {_REMEDY}' for problem in problems))
    print_log('; '.join(problems), logger='current', level=logging.WARNING)


def schedule_problems(cfg: Config) -> list[str]:
    """Find the schedules that do not end with the run.

    Warm-ups may end before, and schedulers without an ``end`` take the run's. Those
    that count in another unit than the run cannot be compared before there is data; of
    them, a run of iterations gives one without an ``end`` a single epoch.
    """
    run = cfg.get('train_cfg') or {}
    unit = next((u for u in ('epochs', 'iters') if run.get(f'max_{u}')), None)
    if unit is None:
        return []
    length, problems = run[f'max_{unit}'], []
    for name, group in _groups(cfg.get('param_scheduler') or []).items():
        same = [s for s in group if s.get('by_epoch', True) == (unit == 'epochs')]
        ends = [s['end'] for s in same if 'end' in s and not _is_warmup(s)]
        places = {'ends at': ends and max(ends) != length and max(ends)}
        if unit == 'iters' and any('end' not in s for s in group if s not in same):
            problems.append(
                f'the schedule of {name} counts epochs, and the run ends at {length} '
                'iters (train_cfg.max_iters): by_epoch=False is missing'
            )
        steps = [step for s in same for step in s.get('milestones', ())]
        places['has a milestone at'] = max(steps, default=0) > length and max(steps)
        problems += [
            f'the schedule of {name} {what} {place} {unit}, and the run ends at '
            f'{length} (train_cfg.max_{unit})'
            for what, place in places.items()
            if place
        ]
    return problems


def _groups(cfg: Any, prefix: str = '') -> dict[str, list[Mapping]]:
    """The schedulers of each optimizer's each parameter."""
    if isinstance(cfg, Mapping) and 'type' not in cfg:  # one list for each optimizer
        each = [_groups(part, f'{name}.') for name, part in cfg.items()]
        return {name: group for groups in each for name, group in groups.items()}
    groups = defaultdict(list)
    for settings in [cfg] if isinstance(cfg, Mapping) else cfg:
        name = settings.get('param_name')
        if name is None:
            kind = _kind(settings)
            named = ('Momentum', 'momentum'), ('WeightDecay', 'weight_decay')
            name = next((name for word, name in named if word in kind), 'lr')
        groups[prefix + name].append(settings)
    return groups


def _kind(settings: Mapping) -> str:
    kind = settings['type']
    return kind if isinstance(kind, str) else kind.__name__


def _is_warmup(settings: Mapping) -> bool:
    """True if the scheduler begins with the run and rises to the optimizer's value."""
    kind = _kind(settings).rpartition('.')[2]
    if 'Warmup' in kind:
        return True
    begins = not settings.get('begin')
    if kind.startswith('Linear'):
        first, last = settings.get('start_factor', 1 / 3), settings.get('end_factor', 1)
        return begins and first < last
    return begins and kind.startswith('Constant') and settings.get('factor', 1 / 3) < 1
