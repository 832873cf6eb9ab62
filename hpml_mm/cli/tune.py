# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the settings with which a config trains most images/s.

    hpml tune configs/fer/a.py --memory-limit 8

Memory format, precision, compilation, batch size and workers are changed one after the
other. Each setting trains for some seconds in a process of its own, loader and hooks
included; a run takes some minutes. Of the settings that a paired test in alternating
rounds cannot tell from the fastest the cheapest is taken: the fewest workers, not
compiled, no larger batch, the fewest changes to the config. The result is printed as a
config that inherits the given one; progress and a table of ties go to stderr.

Batch size and precision change the result, not only the speed: check the accuracy,
and set the learning rate for the batch size.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device

from hpml_mm.benchmark.measurement import SettingBench, axes_of
from hpml_mm.benchmark.memory import available_gib
from hpml_mm.benchmark.process import Plan, stop
from hpml_mm.benchmark.report import digits
from hpml_mm.benchmark.tune import SETTINGS, Measurement, Search, Setting, search
from hpml_mm.benchmark.tuned_config import child_config, setting_of
from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.search.leaf import base_of
from hpml_mm.utils.console import progress_bar, table_console
from hpml_mm.utils.device import device_name, usable_cpus
from hpml_mm.utils.files import write_atomic

from .outputs import add_json_option, print_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    searched = parser.add_argument_group('settings')
    searched.add_argument(
        '--memory-limit',
        type=float,
        metavar='GiB',
        help="of the GPU's memory, or of the host's on a CPU; else what is free",
    )
    searched.add_argument(
        '--batch-sizes', type=int, nargs='+', help='else half to four times its own'
    )
    searched.add_argument('--workers', type=int, nargs='+', help='else up to the cores')
    searched.add_argument(
        '--only', nargs='+', choices=SETTINGS, help='leave the other settings alone'
    )
    measured = parser.add_argument_group('measurement')
    measured.add_argument('--seconds', type=float, default=2.0, help='of each round')
    measured.add_argument(
        '--rounds', type=int, default=3, help='alternate so often, and take medians'
    )
    result = parser.add_argument_group('result')
    result.add_argument(
        '--out', type=Path, metavar='CONFIG', help='write the config here as well'
    )
    add_json_option(result)


def tune(args: argparse.Namespace, cfg: Config) -> Search:
    device = torch.device(get_device())
    limit = args.memory_limit or available_gib()
    if limit is not None:
        log(f'memory limit: {limit:.3g} GiB')
    axes = axes_of(cfg, device, args.batch_sizes, args.workers)
    axes = {name: axes[name] for name in args.only or axes}
    with tempfile.TemporaryDirectory(prefix='hpml_mm-') as place:
        plan = Plan(args.rounds, args.seconds)
        bench = SettingBench(
            Path(place), cfg, args.config, plan, limit, args.cfg_options
        )

        # One value of each axis is that of the fastest so far; some axes end early.
        most, done = 1 + sum(len(values) - 1 for values in axes.values()), 0
        with progress_bar('settings') as show:

            def shown(setting: Setting) -> Measurement:
                nonlocal done
                show(done, max(done + 1, most))
                found = bench.measure(setting)
                log(f'{found}')
                done += 1
                return found

            return search(setting_of(cfg, device), axes, shown, bench.compare)


def log(line: str) -> None:
    """Progress goes to stderr: stdout holds the config alone."""
    print(line, file=sys.stderr, flush=True)


def result(args: argparse.Namespace, cfg: Config, best: Measurement) -> str:
    """Text of the config with the chosen setting."""
    note = (
        f'{digits(best.speed)} images/s on {device_name(get_device())}, '
        f'{usable_cpus()} cores, torch {torch.__version__}.'
    )
    base = base_of(args.config, args.out or Path(args.config))
    return child_config(cfg, base, best.setting, note, args.cfg_options)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse numbers with which nothing could be measured."""
    least = {'rounds': 1, 'batch_sizes': 1, 'workers': 0}
    for name, low in least.items():
        given = getattr(args, name)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and value < low:
                option = f'--{name.replace("_", "-")}'
                raise ValueError(f'{option} {value}: at least {low}')
    for name in ('memory_limit', 'seconds'):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise ValueError(f'--{name.replace("_", "-")} {value:g}: above 0')


def run(args: argparse.Namespace) -> None:
    check_arguments(args)
    signal.signal(signal.SIGTERM, stop)
    # Packages that are imported on the way print notes of their own.
    with contextlib.redirect_stdout(sys.stderr):
        cfg = load_config(args.config, args.cfg_options)
        found = tune(args, cfg)
        text = result(args, cfg, found.best)
        table_console().print(found.table())
        log(f'chosen: {found.best}')
        if args.out:
            write_atomic(args.out, text)
    if args.json:
        print_result(args, {**asdict(found.best), 'config': text})
    else:
        print(text, end='')
