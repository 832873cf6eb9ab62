# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Test a checkpoint.

    hpml test CONFIG CHECKPOINT --cfg-options ...

Any folder of the same layout can be tested with
``--cfg-options test_dataloader.dataset.data_root=DIR``.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

from mmengine.dist import is_main_process

from hpml_mm.config.arguments import add_config_arguments, add_verbose
from hpml_mm.config.run import configure_test
from hpml_mm.engine.cpu import setup_cpu
from hpml_mm.engine.hooks import ScreenHook, SummaryHook
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.engine.weights import load_fitting
from hpml_mm.experiments.runs import print_table, summary_rows
from hpml_mm.runner import build_runner, check_data
from hpml_mm.utils.files import dump_strict, write_atomic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='.pth or .safetensors')
    parser.add_argument('--work-dir', help='where the result goes')
    parser.add_argument(
        '--tta', action='store_true', help='average with the mirror image'
    )
    add_verbose(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')


def run(args: argparse.Namespace) -> None:
    with nullcontext() if args.verbose else quiet_screen():
        test(args)


def test(args: argparse.Namespace) -> None:
    cpu = setup_cpu()
    cfg = configure_test(
        args.config,
        args.checkpoint,
        args.cfg_options,
        tta=args.tta,
        work_dir=args.work_dir,
    )
    check_data(cfg, ('test',))
    screen = ScreenHook(verbose=args.verbose)
    runner = build_runner(cfg, args.launcher, screen=screen)
    runner.logger.info(cpu)
    load_fitting(runner.model, args.checkpoint)
    metrics = runner.test()
    if not is_main_process():
        return
    path = Path(runner.work_dir, 'summary.json')
    if not any(isinstance(hook, SummaryHook) for hook in runner.hooks):
        record = {'status': 'finished', 'mode': 'test', 'metrics': metrics}
        write_atomic(path, dump_strict({**record, 'config_file': cfg.filename}))
    shown = {'status': 'finished', 'mode': 'test', 'metrics': metrics}
    print_table(args.checkpoint, summary_rows(shown))
    print(f'Written to {path}')
