# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make an INT8 model.

    hpml quantize CONFIG CHECKPOINT --method ptq --out DIR

The exit code is 0 where the drop is within --max-drop, 1 where it is not, and 2 for an
error: a network of which no layer can be converted is one.
"""

import argparse
import sys
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import hpml_mm  # noqa: F401  # makes mmpose importable without compiled ops
from hpml_mm.config.arguments import add_config_arguments, add_verbose
from hpml_mm.config.run import configure_test, configure_training
from hpml_mm.config.work_dir import derive_work_dir
from hpml_mm.engine.cpu import setup_cpu
from hpml_mm.engine.hooks import ScreenHook
from hpml_mm.engine.resume import check_checkpoint
from hpml_mm.engine.screen.quiet import quiet_screen
from hpml_mm.engine.weights import load_fitting
from hpml_mm.quantization.backends import BACKENDS
from hpml_mm.quantization.calibration import (
    MINIMUM,
    calibration_batches,
    estimate_statistics_,
    without_pretrained_,
)
from hpml_mm.quantization.evaluate import MetainfoOnly
from hpml_mm.quantization.from_runner import (
    drop_message,
    quantize_in_runner,
    validation_of,
)
from hpml_mm.quantization.hooks import QATHook
from hpml_mm.quantization.qat import EPOCHS, LR_SHARE, fine_tune_
from hpml_mm.quantization.report import QuantizationReport
from hpml_mm.quantization.settings import QuantizationSettings
from hpml_mm.runner import build_runner
from hpml_mm.utils.console import progress_bar
from hpml_mm.utils.model import bare_model

from .outputs import add_json_option, print_result, result_alone

NOT_MET = 1
# Arguments of a training, which only QAT does.
TRAINING = ('epochs', 'lr', 'freeze', 'overwrite')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='.pth or .safetensors, in FP32')
    how = parser.add_argument_group('method')
    how.add_argument(
        '--untrained',
        action='store_true',
        help='no checkpoint: speed and noise of random weights, with BatchNorm '
        'estimated on real images',
    )
    methods = sorted({method for each in BACKENDS.values() for method in each.methods})
    how.add_argument(
        '--method',
        choices=methods,
        default='ptq',
        help='after training with images (ptq) or without (dynamic), or with training '
        '(qat)',
    )
    how.add_argument(
        '--backend',
        choices=list(BACKENDS),
        default='onnxruntime',
        help='that runs the model',
    )
    ranges = sorted({name for b in BACKENDS.values() for name in b.known_ranges})
    how.add_argument(
        '--ranges',
        choices=ranges,
        help='ranges of activations; the backend\'s default. "naive" shows the loss '
        'without the care that is taken otherwise',
    )
    how.add_argument(
        '--samples', type=int, default=MINIMUM, help='training images to calibrate with'
    )
    how.add_argument(
        '--max-drop',
        type=_points,
        default=0.5,
        metavar='POINTS',
        help='percent of accuracy, or hundredths of AP, that may be lost; layers stay '
        'in FP32 until it is met; "none" converts all layers',
    )
    how.add_argument(
        '--keep', nargs='+', default=(), metavar='LAYER', help='layers to leave in FP32'
    )
    add_result_arguments(parser.add_argument_group('result'))
    add_training_arguments(parser.add_argument_group('--method qat'))


def add_result_arguments(result: argparse._ArgumentGroup) -> None:
    """Add the arguments of what is measured, written and shown."""
    result.add_argument(
        '--latency-seconds',
        type=float,
        default=30.0,
        metavar='S',
        help='time to measure each batch size for; 0 for not at all',
    )
    result.add_argument(
        '--out', metavar='DIR', help='write the model and its report to this folder'
    )
    add_json_option(result)
    add_verbose(result)


def add_training_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the arguments of a training, None by default."""
    group.add_argument('--epochs', type=int, help=f'to fine-tune for; {EPOCHS}')
    group.add_argument(
        '--lr',
        type=float,
        help=f"{LR_SHARE:g} of the config's where it is not given",
    )
    group.add_argument(
        '--freeze', type=int, help='first epoch with frozen BatchNorm and ranges'
    )
    group.add_argument(
        '--overwrite',
        action='store_true',
        default=None,
        help='delete checkpoints of an earlier run',
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that exclude each other."""
    if (args.checkpoint is None) != args.untrained:
        raise ValueError('give either CHECKPOINT or --untrained')
    if args.untrained and args.method == 'qat':
        raise ValueError('--method qat trains a checkpoint: --untrained has none')
    given = [f'--{name}' for name in TRAINING if getattr(args, name) is not None]
    if given and args.method != 'qat':
        raise ValueError(
            f'{", ".join(given)}: only --method qat trains, and this is --method '
            f'{args.method}'
        )


def _points(text: str) -> float | None:
    try:
        return None if text.lower() == 'none' else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: a number, or none') from None


def settings_of(args: argparse.Namespace) -> QuantizationSettings:
    return QuantizationSettings(
        method=args.method,
        backend=args.backend,
        ranges=args.ranges,
        samples=args.samples,
        max_drop=None if args.untrained else args.max_drop,
        keep=args.keep,
        latency_seconds=args.latency_seconds,
    )


def convert(
    args: argparse.Namespace, settings: QuantizationSettings, out: Path
) -> QuantizationReport:
    """Quantize a checkpoint as it is."""
    cfg = configure_test(
        args.config, args.checkpoint, args.cfg_options, work_dir=str(out)
    )
    if args.untrained:
        without_pretrained_(cfg.model)
    runner = build_runner(cfg)
    validation = replace(validation_of(runner), bar=partial(progress_bar, 'validation'))
    if args.untrained:
        runner.model.init_weights()
        validation = MetainfoOnly(validation.loader, validation.evaluator)
    else:
        load_fitting(runner.model, args.checkpoint)
    model = bare_model(runner.model).cpu()
    if args.untrained:
        estimate_statistics_(model, calibration_batches(cfg, settings.samples))
    report = quantize_in_runner(runner, model, settings, out, validation=validation)
    runner.visualizer.close()
    return report


def train(
    args: argparse.Namespace, settings: QuantizationSettings, out: Path
) -> QuantizationReport:
    """Fine-tune a checkpoint with fake quantization, then quantize it."""
    cfg = configure_training(
        args.config, args.cfg_options, work_dir=str(out), overwrite=bool(args.overwrite)
    )
    fine_tune_(
        cfg,
        args.checkpoint,
        asdict(settings),
        str(out),
        epochs=args.epochs,
        lr=args.lr,
        freeze=args.freeze,
    )
    runner = build_runner(cfg, screen=ScreenHook(verbose=args.verbose))
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, QATHook))
    assert hook.report is not None  # it is made when the training ends
    return hook.report


def run(args: argparse.Namespace) -> None:
    check_arguments(args)
    with result_alone(args), nullcontext() if args.verbose else quiet_screen():
        report = quantize(args)
    print_result(args, report.record())
    if report.search is not None and not report.search.met:
        text = drop_message(report, settings_of(args))
        print(f'error: {text}', file=sys.stderr)
        sys.exit(NOT_MET)


def quantize(args: argparse.Namespace) -> QuantizationReport:
    """Make the model, and write it with its report."""
    print(setup_cpu())
    settings = settings_of(args)
    BACKENDS[settings.backend].check_installed()
    derived = derive_work_dir(args.config, args.cfg_options)
    out = Path(args.out or derived / f'{args.method}-{args.backend}')
    check_checkpoint(args.checkpoint)
    make = train if args.method == 'qat' else convert
    report = make(args, settings, out)
    print(f'Written to {out}')
    return report
