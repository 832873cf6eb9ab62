# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Search the settings of a config, and train the best again beside it.

    hpml search configs/fer/a.py --space space.py --trials 20 \
        --metric accuracy/top1 --out work_dirs/search/a

A trial trains on nine tenths of the training set and is judged on the rest. The best
trials are trained again on all of it, with fresh seeds, and compared with the config on
its own validation split. A search that was stopped goes on where it was; several may
share one folder.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.overrides import load_config
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.experiments.executors import Executor, running
from hpml_mm.experiments.records import config_digest
from hpml_mm.experiments.rows import append_results, check_results
from hpml_mm.experiments.runs import Summary
from hpml_mm.experiments.search.hold_out import hold_out
from hpml_mm.experiments.search.plots import (
    load_plotly,
    missing_figures,
    write_plots,
)
from hpml_mm.experiments.search.repeat import (
    BASE,
    REPEATED_HEADER,
    Repeated,
    base_variant,
    best_trials,
    compare,
    repeated_rows,
    verdict,
    write_leaves,
    write_repeated,
)
from hpml_mm.experiments.search.space import Space, check_space, read_space
from hpml_mm.experiments.search.study import (
    SAMPLERS,
    Settings,
    is_timed,
    open_study,
    study_url,
)
from hpml_mm.experiments.search.trials import TrialEnd, Trials
from hpml_mm.experiments.sweep import (
    Run,
    alternate,
    summary_of,
    sweep_rows,
    train_all,
)
from hpml_mm.utils.console import progress_bar
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.studies import PRUNERS

from .executor_options import add_executor_options, executor_of
from .outputs import (
    add_json_option,
    add_rows_option,
    check_out_folder,
    print_result,
    result_alone,
)

# Of SLURM: a sampler learns from those that have ended. Optuna's draws ten at random.
_TRIALS_AT_ONCE = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    searched = parser.add_argument_group('search')
    searched.add_argument(
        '--space', type=Path, required=True, help='config that sets `space`'
    )
    searched.add_argument('--trials', type=int, required=True, help='in all')
    searched.add_argument(
        '--metric', nargs='+', required=True, help='one that counts, or two'
    )
    searched.add_argument(
        '--at-most',
        nargs='+',
        default=[],
        metavar='METRIC=VALUE',
        help="limits of a trial, such as 'memory/peak(GiB)=2'",
    )
    searched.add_argument('--sampler', choices=SAMPLERS, default='tpe', help="Optuna's")
    searched.add_argument(
        '--pruner',
        choices=PRUNERS,
        help='what ends poor trials early (default: median, and none with two metrics)',
    )
    searched.add_argument(
        '--seed', type=int, default=0, help='of sampler, held-out part and trials'
    )
    searched.add_argument(
        '--held-out',
        type=float,
        default=0.1,
        metavar='SHARE',
        help='share of the training set that trials are judged on',
    )
    searched.add_argument(
        '--storage',
        default='journal',
        help='journal or sqlite in --out, or the URL of a database',
    )
    add_executor_options(parser.add_argument_group('runs'))
    again = parser.add_argument_group('repetition')
    again.add_argument(
        '--repeat', type=int, default=3, metavar='K', help='train the K best again'
    )
    again.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[1, 2, 3, 4, 5],
        help='of these trainings',
    )
    result = parser.add_argument_group('result')
    result.add_argument(
        '--out',
        type=Path,
        required=True,
        help='write study, trials and best leaf configs into this folder',
    )
    add_rows_option(result)
    add_json_option(result)


def run(args: argparse.Namespace) -> None:
    with quiet_screen(), result_alone(args):
        found = search(args)
    print_result(args, [asdict(one) for one in found])


def search(args: argparse.Namespace) -> list[Repeated]:
    """Run the trials that lack, and repeat the best ones."""
    pruner = args.pruner or ('median' if len(args.metric) == 1 else 'none')
    settings = Settings(
        config=args.config,
        space=args.space.read_text() if args.space.is_file() else '',
        metrics=tuple(args.metric),
        sampler=args.sampler,
        pruner=pruner,
        digest=config_digest([args.config]),
        share=args.held_out,
        seed=args.seed,
        at_most=_limits(args.at_most),
        options=args.cfg_options,
    )
    space = _checked(args, settings)
    place = study_url(args.storage, args.out)
    hold_out(load_config(args.config, args.cfg_options), settings.share, settings.seed)
    chosen = executor_of(args, args.out, _TRIALS_AT_ONCE)
    timed = [name for name in (*settings.metrics, *settings.at_most) if is_timed(name)]
    if timed and chosen.free() > 1:
        raise ValueError(
            f'--executor {args.executor}: trials side by side slow one another down, '
            f'and {timed[0]} is a time: take local:1'
        )
    study = open_study(place, settings)
    with running(chosen) as executor:
        trials = Trials(study, place, settings, space, args.out, executor)
        with progress_bar('trials') as show:
            for end in trials.run(args.trials):
                _print_end(end, settings)
                show(len(study.get_trials(deepcopy=False)), args.trials)
        _plot(study, args.out / 'plots')
        if args.repeat == 0:
            return []
        return _repeat(args, settings, space, study, executor)


def _checked(args: argparse.Namespace, settings: Settings) -> Space:
    """Space of a search whose arguments, and every corner of it, are sound."""
    if args.trials < 1 or args.repeat < 0:
        raise ValueError(
            f'--trials {args.trials} --repeat {args.repeat}: at least 1 and 0'
        )
    if settings.seed in args.seeds or len(set(args.seeds)) < len(args.seeds):
        raise ValueError(
            f'--seeds {" ".join(map(str, args.seeds))}: fresh seeds differ, also from '
            f'--seed {settings.seed} of the trials'
        )
    load_plotly()  # the plots come last
    space = read_space(args.space)
    check_out_folder(args.out)
    check_results(args.rows)
    check_space(space, settings.config, settings.options)
    return space


def _repeat(
    args: argparse.Namespace,
    settings: Settings,
    space: Space,
    study: Any,
    executor: Executor,
) -> list[Repeated]:
    trials = best_trials(study, args.repeat)
    if not trials:
        raise ValueError(
            f'none of {len(study.trials)} trials has finished within the limits: '
            f'see {args.out}/trials'
        )
    folder = args.out / 'best'
    variants = [
        base_variant(settings, folder),
        *write_leaves(trials, settings, space, folder),
    ]
    runs = list(alternate(variants, args.seeds, seeded=True))
    done: list[tuple[Run, Summary]] = []
    with progress_bar('repetitions') as show:
        show(0, len(runs))
        for one, end in train_all(runs, args.out / 'repeats', executor):
            done.append((one, summary_of(one, end)))
            show(len(done), len(runs))
    metric = settings.metrics[0].removeprefix('best/')
    found = compare(done, trials, metric)
    told = verdict(found, metric)
    command = f'hpml train {variants[1].config}'
    write_repeated(
        args.out / 'search.json', found, metric=metric, verdict=told, command=command
    )
    if args.rows is not None:
        name = f'search/{args.out.name}'
        rows = sweep_rows(name, done, [metric], baseline=BASE, argv=sys.argv)
        append_results(args.rows, rows)
    print(markdown_table(REPEATED_HEADER, repeated_rows(found)))
    print(f'{variants[1].label}: {told}\n{command}')
    return found


def _plot(study: Any, folder: Path) -> None:
    write_plots(study, folder)
    lacks: dict[str, list[str]] = {}
    for name, lack in missing_figures(study).items():
        lacks.setdefault(lack, []).append(name)
    told = [f'; no {", ".join(names)}: {lack}' for lack, names in lacks.items()]
    print(f'plots in {folder}{"".join(told)}')


def _print_end(end: TrialEnd, settings: Settings) -> None:
    values = zip(settings.metrics, end.values, strict=False)
    shown = ' '.join(f'{name}={value:.4g}' for name, value in values)
    print(f'trial {end.number}: {end.state} {shown or end.reason}'.rstrip(), flush=True)


def _limits(words: list[str]) -> dict[str, float]:
    found = {}
    for word in words:
        name, equals, value = word.rpartition('=')
        try:
            found[name] = float(value)
        except ValueError:
            equals = ''
        if not (name and equals):
            raise ValueError(f'--at-most {word}: write METRIC=VALUE')
    return found
