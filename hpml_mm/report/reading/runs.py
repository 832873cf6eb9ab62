# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs, from what lies in their work directories."""

import math
import re
import shlex
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.runs import Summary, read_summary, summary_value
from hpml_mm.report.content import Environment, Point, Problem, RunData, Training
from hpml_mm.utils.text_file import read_json

from .configs import command_config, flatten, read_dumped
from .curves import Records, Scale, curves_of, iterations_per_epoch, last_metrics
from .logs import Head, read_events, read_head, read_scalars, read_text_logs
from .pictures import read_confusion
from .status import status_of

# A metric of one keypoint, as hpml_mm.KeypointPCK names it.
_KEYPOINT = re.compile(r'(?P<measure>(?:.*/)?PCK@[\d.]+)/(?P<name>.+)')
_ENVIRONMENT = (
    *('commit', 'dirty', 'device', 'torch', 'processes', 'date'),
    *('project_commit', 'project_dirty'),
)


@dataclass(frozen=True)
class _Summaries:
    """Summaries of one work directory, empty where there is none."""

    train: Summary
    test: Summary


def read_run(run: Path, number: int, problems: list[Problem]) -> RunData:
    """Read a work directory.

    Its name is the path, and its group 0, until all runs are known.

    Args:
        run: The directory.
        number: Number of the run.
        problems: Takes what cannot be read.
    """
    summaries = _read_summaries(run, problems)
    main = summaries.train or summaries.test
    records, events, source = _read_logs(run, problems)
    config = main.get('config') or read_dumped(run, problems)
    # The summary of a whole training tells all that the head of its log does.
    whole = main.get('environment') and main.get('status') == 'finished'
    head = Head() if whole else read_head(run)
    is_test = bool(summaries.test) and not (summaries.train or records.train)
    scale = _scale(main, config, records, head)
    curves = curves_of(records, scale) or _placed(events, scale, config)
    train = _training(summaries.train, config, records, scale, curves)
    status = status_of(run, main, _reached_end(train, records, scale))
    over = main if status.status != 'running' else {}
    metrics = _numbers(over.get('metrics')) or last_metrics(records) or _last(curves)
    if not is_test:
        tested = _numbers(summaries.test.get('metrics'))
        metrics |= {f'test/{name}': value for name, value in tested.items()}
    seed = main.get('seed', head.seed)
    return RunData(
        id=number,
        name=str(run),
        place=str(run),
        group=0,
        status=status.status,
        reason=status.reason,
        mode='test' if is_test else 'train',
        seed=seed if isinstance(seed, int) else None,
        config=flatten(config),
        config_file=_text(main.get('config_file')),
        metrics=metrics,
        best=_numbers(over.get('best')),
        measurements=_measurements(over.get('measurements')) or _logged_times(records),
        train=train,
        environment=_environment(main, head),
        command=_text(main.get('command')) or _job_command(run),
        likely_command=None if is_test else _likely_command(run),
        curves=curves,
        confusion=read_confusion(run, problems),
        keypoints=keypoints_of(metrics),
        source=('summary', *source) if main else source,
    )


def keypoints_of(metrics: Mapping[str, float | None]) -> dict[str, dict[str, float]]:
    """Collect the shares of keypoints, by the name that they have in common."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        match = _KEYPOINT.fullmatch(name)
        if match and value is not None:
            found.setdefault(match['measure'], {})[match['name']] = value
    return found


def _read_summaries(run: Path, problems: list[Problem]) -> _Summaries:
    held: dict[str, Summary] = {'train': {}, 'test': {}}
    for name in ('summary_train.json', 'summary_test.json', 'summary.json'):
        try:
            summary = read_summary(run / name)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(run / name), str(error)))
            continue
        if summary:
            held['test' if summary.get('mode') == 'test' else 'train'] = summary
    return _Summaries(**held)


def _read_logs(
    run: Path, problems: list[Problem]
) -> tuple[Records, dict[str, list[Point]], tuple[str, ...]]:
    """Read the best log that there is."""
    records = read_scalars(run, problems)
    if records.train or records.val:
        return records, {}, ('scalars',)
    events = read_events(run, problems)
    if events:
        return records, events, ('events',)
    records = read_text_logs(run)
    found = bool(records.train or records.val)
    return records, {}, ('log',) if found else ()


def _scale(
    summary: Summary, config: Mapping[str, Any], records: Records, head: Head
) -> Scale:
    loop = config.get('train_cfg') or {}
    by_epoch = loop.get('by_epoch')
    if by_epoch is None and loop:
        by_epoch = 'max_epochs' in loop or 'Epoch' in str(loop.get('type', ''))
    train = summary.get('train') or {}
    epochs, iters, size = (train.get(k) for k in ('epochs', 'iters', 'dataset_size'))
    per_epoch = iterations_per_epoch(records.train) or head.per_epoch
    ended = summary.get('status') == 'finished'  # else within an epoch, perhaps
    if by_epoch and ended and epochs and iters and iters % epochs == 0:
        per_epoch = iters // epochs
    batch = summary_value({'c': config}, 'c.train_dataloader.batch_size')
    processes = summary_value(summary, 'environment.processes') or head.processes
    both = isinstance(batch, int) and isinstance(processes, int)
    return Scale(by_epoch, per_epoch, batch * processes if both else None, size)


def _placed(
    events: Mapping[str, list[Point]], scale: Scale, config: Mapping[str, Any]
) -> dict[str, list[Point]]:
    """Give the points of events their epochs; stock validations count these."""
    loop = config.get('train_cfg') or {}
    epochs, per_epoch = loop.get('max_epochs'), scale.per_epoch
    furthest = max((points[-1].step for points in events.values()), default=0)
    found = {}
    for name, points in events.items():
        counts_epochs = epochs and per_epoch and points[-1].step <= epochs < furthest
        factor = per_epoch if counts_epochs and per_epoch else 1
        found[name] = [
            p._replace(
                step=p.step * factor,
                epoch=scale.epoch(p.step * factor),
                samples=scale.samples(p.step * factor),
            )
            for p in points
        ]
    return found


def _training(
    summary: Summary,
    config: Mapping[str, Any],
    records: Records,
    scale: Scale,
    curves: Mapping[str, list[Point]],
) -> Training:
    told = summary.get('train') or {}
    loop = config.get('train_cfg') or {}
    steps = [points[-1].step for points in curves.values()]
    logged = max(steps, default=None)
    iters = max(filter(None, (told.get('iters'), logged)), default=None)
    epochs = told.get('epochs')
    if scale.by_epoch and (epochs is None or iters != told.get('iters')):
        done = iters // scale.per_epoch if iters and scale.per_epoch else None
        epochs = max((line['step'] for line in records.val), default=done)
    seconds = told.get('wall_time(s)')
    if seconds is None and iters:
        known = (p.seconds for c in curves.values() for p in c if p.seconds is not None)
        seconds = max(known, default=None)
    return Training(
        epochs=epochs,
        iters=iters,
        dataset_size=told.get('dataset_size'),
        samples=scale.samples(iters) if iters else None,
        seconds=seconds,
        planned_epochs=loop.get('max_epochs'),
        planned_iters=loop.get('max_iters'),
    )


def _reached_end(train: Training, records: Records, scale: Scale) -> bool:
    """Return whether a log holds all of a training, its last validation too."""
    if scale.by_epoch:
        # Counted by validations, where there are any.
        return train.epochs is not None and train.epochs == train.planned_epochs
    if train.iters is None or train.iters != train.planned_iters:
        return False
    last = records.val[-1] if records.val else None
    return last is None or train.iters in (last['after'], last['step'])


def _environment(summary: Summary, head: Head) -> Environment:
    held = summary.get('environment')
    if not isinstance(held, Mapping):
        return Environment(
            device=head.device, torch=head.torch, processes=head.processes
        )
    more = {
        k: str(v) for k, v in held.items() if k not in _ENVIRONMENT and v is not None
    }
    return Environment(**{key: held.get(key) for key in _ENVIRONMENT}, more=more)


def _job_command(run: Path) -> str | None:
    """Command in the record that an executor keeps beside a run."""
    record = Job(run, ()).record
    if not record.is_file():
        return None
    try:
        words = read_json(record)['arguments']
        return shlex.join(['hpml', 'train', *map(str, words)])
    except (KeyError, TypeError, ValueError):
        return None  # of something else that has its name


def _likely_command(run: Path) -> str | None:
    """Command that trains the config which a run has left."""
    config = command_config(run)
    return None if config is None else shlex.join(['hpml', 'train', str(config)])


def _logged_times(records: Records) -> dict[str, float | str | None]:
    """Times of an iteration in a log without measurements."""
    found: dict[str, float | str | None] = {}
    for key, name in (('time', 'log/iteration(ms)'), ('data_time', 'log/data(ms)')):
        times = [
            1e3 * line[key]
            for line in records.train
            if isinstance(line.get(key), int | float) and math.isfinite(line[key])
        ]
        if times:
            found[name] = statistics.median(times)
    speeds = [r['throughput(img/s)'] for r in records.train if 'throughput(img/s)' in r]
    if speeds:
        found['log/throughput(img/s)'] = statistics.median(speeds)
    return found


def _last(curves: Mapping[str, list[Point]]) -> dict[str, float | None]:
    """Last value of each curve that is not of training."""
    return {
        name: points[-1].value
        for name, points in curves.items()
        if not name.startswith('train/') and points
    }


def _numbers(held: Any) -> dict[str, float | None]:
    """Numbers among what a summary holds, without names of files."""
    if not isinstance(held, Mapping):
        return {}
    return {
        str(name): None if value is None else float(value)
        for name, value in held.items()
        if value is None or (isinstance(value, int | float) and value is not True)
    }


def _measurements(held: Any) -> dict[str, float | str | None]:
    if not isinstance(held, Mapping):
        return {}
    return {
        str(name): value
        for name, value in held.items()
        if value is None or isinstance(value, int | float | str)
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
