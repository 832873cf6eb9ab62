# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Train a config.

hpml train configs/fer/a.py --amp --cfg-options train_cfg.max_epochs=5
"""

import argparse
import json
import os
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.runner import Runner

from hpml_mm.config.arguments import add_config_arguments, add_verbose
from hpml_mm.config.command.words import command_to_resume
from hpml_mm.config.run import configure_training
from hpml_mm.engine import weights  # noqa: F401  # lets configs load safetensors
from hpml_mm.engine.cpu import setup_cpu
from hpml_mm.engine.hooks import GracefulStopHook, ScreenHook, SummaryHook
from hpml_mm.engine.resume import check_checkpoint
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.engine.stopping.out_of_memory import explaining_shortage
from hpml_mm.engine.stopping.request import StoppedBySignalError
from hpml_mm.experiments.runs import print_table, short_rows
from hpml_mm.runner import build_runner, check_data

from .stock_options import (
    add_drawing_options,
    add_loader_options,
    add_process_options,
    join_launcher,
    switches_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    training = parser.add_argument_group('training')
    training.add_argument('--amp', action='store_true', help='mixed precision')
    training.add_argument('--seed', type=int, help="instead of the config's")
    training.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="multiply the learning rate by the batch size's ratio to the config's "
        'auto_scale_lr.base_batch_size',
    )
    training.add_argument(
        '--no-validate',
        action='store_false',
        dest='validate',
        help='train without a validation',
    )
    training.add_argument(
        '--cut-short',
        action='store_true',
        help='a trial: accept a schedule that does not end with the run',
    )
    add_loader_options(training)
    training.add_argument(
        '--no-persistent-workers',
        action='store_false',
        dest='persistent_workers',
        help="start the loaders' workers for each epoch",
    )
    place = parser.add_argument_group('work directory and screen')
    place.add_argument('--work-dir', help='where checkpoints and logs go')
    place.add_argument('--tag', help='name of an overridden run, for its work dir')
    place.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the last one of the work dir',
    )
    place.add_argument(
        '--overwrite',
        action='store_true',
        help='delete the checkpoints of an earlier run in the same work dir',
    )
    add_verbose(place)
    add_process_options(parser)
    add_drawing_options(parser)


def train(runner: Runner) -> None:
    """Train; an interruption gives the exit code of its signal."""
    for hook in runner.hooks:
        if isinstance(hook, GracefulStopHook):
            hook.resume_command = command_to_resume(sys.argv)
    try:
        with explaining_shortage(runner):
            runner.train()
    except KeyboardInterrupt as stop:
        runner.logger.warning(f'Stopped at once ({stop}): no checkpoint was saved')
        sys.exit(getattr(stop, 'code', 130))
    except StoppedBySignalError:  # all processes together, with a checkpoint
        runner.visualizer.close()
        barrier()  # whoever left first would have the launcher kill the others
        raise


def after_restart(resume: str | None, overwrite: bool) -> tuple[str | None, bool]:
    """Have a training that torchrun starts again go on from its last checkpoint."""
    if int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) == 0:
        return resume, overwrite
    return resume or 'auto', False


def report(runner: Runner) -> None:
    """Print the summary of the run, and the TensorBoard command."""
    for hook in runner.hooks:
        if not isinstance(hook, SummaryHook):
            continue
        if hook.path is None:
            print('No table: the summary could not be written (see the log)')
        else:
            summary = json.loads(hook.path.read_text())
            print_table(Path(runner.work_dir).name, short_rows(summary))
    if not any(Path(runner.work_dir).rglob('events.out.tfevents.*')):
        return
    # The folder above shows the run by its name, beside others to compare it with. It
    # may be any folder of the user's, though, if it is not below the current one.
    above = os.path.relpath(Path(runner.work_dir).parent)
    outside = above == '.' or above.startswith('..')
    logdir = os.path.relpath(runner.work_dir) if outside else above
    print(f'See it in TensorBoard:  tensorboard --logdir {shlex.quote(logdir)}')


def run(args: argparse.Namespace) -> None:
    join_launcher(args)
    with nullcontext() if args.verbose else quiet_screen():
        runner = start(args)
        train(runner)
        if is_main_process():
            report(runner)


def start(args: argparse.Namespace) -> Runner:
    """Runner of a training, checked and about to begin."""
    cpu = setup_cpu()
    resume, overwrite = after_restart(args.resume, args.overwrite)
    cfg = configure_training(
        args.config,
        args.cfg_options,
        amp=args.amp,
        seed=args.seed,
        tag=args.tag,
        work_dir=args.work_dir,
        resume=resume,
        overwrite=overwrite,
        cut_short=args.cut_short,
        switches=switches_of(args),
    )
    check_data(cfg, ('train', 'val'))
    check_checkpoint(cfg.get('load_from'), resumes=bool(cfg.get('resume')))
    screen = ScreenHook(verbose=args.verbose)
    runner = build_runner(cfg, args.launcher, trains=True, screen=screen)
    runner.logger.info(cpu)
    return runner
