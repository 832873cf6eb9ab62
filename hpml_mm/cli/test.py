# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Test a checkpoint.

    hpml test CONFIG CHECKPOINT --out metrics.json
    hpml test CONFIG CHECKPOINT --out predictions.pkl --show-dir pictures

Any folder of the same layout can be tested with
``--cfg-options test_dataloader.dataset.data_root=DIR``.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import dump

from hpml_mm.config.arguments import add_config_arguments, add_verbose
from hpml_mm.config.run import configure_test
from hpml_mm.engine.cpu import setup_cpu
from hpml_mm.engine.hooks import ScreenHook, SummaryHook
from hpml_mm.engine.resume import check_checkpoint
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.engine.weights import load_fitting
from hpml_mm.experiments.runs import print_table, summary_rows
from hpml_mm.runner import build_runner, check_data
from hpml_mm.utils.files import dump_strict, write_atomic

from .outputs import check_out
from .stock_options import (
    add_drawing_options,
    add_loader_options,
    add_process_options,
    join_launcher,
    switches_of,
)

_PICKLES = ('.pkl', '.pickle')
_ENDINGS = {'pred': _PICKLES, 'metrics': ('.json', '.yaml', '.yml', *_PICKLES)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='.pth or .safetensors')
    results = parser.add_argument_group('results')
    results.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='write the results: predictions (.pkl) or metrics (.json, .yaml)',
    )
    results.add_argument(
        '--out-item',
        choices=list(_ENDINGS),
        help='results in --out, where its ending is not to decide',
    )
    results.add_argument(
        '--dump', metavar='PKL', help='write the predictions, as in MMPose'
    )
    results.add_argument('--work-dir', help='where summary and log go')
    add_verbose(results)
    how = parser.add_argument_group('test')
    how.add_argument('--tta', action='store_true', help='average with the mirror image')
    how.add_argument('--amp', action='store_true', help='mixed precision')
    add_loader_options(how)
    add_process_options(parser)
    drawing = add_drawing_options(parser)
    drawing.add_argument(
        '--badcase',
        action='store_true',
        help='the worst predictions alone, by default_hooks.badcase of MMPose',
    )


def item_of(args: argparse.Namespace) -> str | None:
    """Content of ``--out``: ``'pred'`` or ``'metrics'``; None without it.

    Raises:
        ValueError: Its ending does not fit, or there is no ``--out``.
    """
    if args.dump and Path(args.dump).suffix not in _PICKLES:
        raise ValueError(f'--dump {args.dump} must end in {" or ".join(_PICKLES)}')
    if args.out is None:
        if args.out_item:
            raise ValueError('--out-item is of --out: give --out FILE, too')
        return None
    suffix = args.out.suffix
    item = args.out_item or ('pred' if suffix in _PICKLES else 'metrics')
    if suffix not in _ENDINGS[item]:
        raise ValueError(
            f'--out {args.out}: {item} are written to a file that ends in '
            f'{" or ".join(_ENDINGS[item])}'
        )
    if item == 'pred' and args.dump:
        raise ValueError('--out and --dump would both hold the predictions: give one')
    return item


def run(args: argparse.Namespace) -> None:
    item = item_of(args)
    check_out(args.out)
    join_launcher(args)
    with nullcontext() if args.verbose else quiet_screen():
        test(args, item)


def test(args: argparse.Namespace, item: str | None) -> None:
    """Test, and write ``item`` to ``--out``, see :func:`item_of`."""
    cpu = setup_cpu()
    predictions = str(args.out) if item == 'pred' else args.dump
    cfg = configure_test(
        args.config,
        args.checkpoint,
        args.cfg_options,
        tta=args.tta,
        amp=args.amp,
        work_dir=args.work_dir,
        switches=switches_of(args, dump=predictions),
    )
    check_data(cfg, ('test',))
    check_checkpoint(args.checkpoint)
    screen = ScreenHook(verbose=args.verbose)
    runner = build_runner(cfg, args.launcher, screen=screen)
    runner.logger.info(cpu)
    load_fitting(runner.model, args.checkpoint)
    metrics = runner.test()
    if not is_main_process():
        return
    path = Path(runner.work_dir, 'summary.json')
    shown = {'status': 'finished', 'mode': 'test', 'metrics': metrics}
    if not any(isinstance(hook, SummaryHook) for hook in runner.hooks):
        write_atomic(path, dump_strict({**shown, 'config_file': cfg.filename}))
    if item == 'metrics':
        write_metrics(args.out, metrics)
    print_table(args.checkpoint, summary_rows(shown))
    print(f'Written to {args.out or path}')


def write_metrics(out: Path, metrics: dict[str, float]) -> None:
    """Write metrics in the format that the ending names."""
    if out.suffix == '.json':
        write_atomic(out, dump_strict(metrics))
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        dump(metrics, out)
