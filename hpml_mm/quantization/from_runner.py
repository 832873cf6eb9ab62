# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantization of a runner's model."""

import copy
import sys
from pathlib import Path

from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from hpml_mm.config.command.words import command_line
from hpml_mm.experiments.rows import write_results
from hpml_mm.utils.env import environment
from hpml_mm.utils.model import bare_model

from .convert import Conversion, remove_earlier
from .coverage import NothingConverted
from .evaluate import Validation
from .report import QuantizationReport, print_report, show_in_tensorboard
from .report_rows import result_rows, rows_of_nothing
from .settings import QuantizationSettings

ROWS_FILE = 'rows.csv'


def trained_model(runner: Runner) -> BaseModel:
    """A copy on the CPU of the model that the runner validates and saves.

    With an EMAHook, that is the averaged one.
    """
    averaged = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    model = averaged[0].ema_model.module if averaged else bare_model(runner.model)
    return copy.deepcopy(model).cpu().eval()


def validation_of(runner: Runner) -> Validation:
    """The runner's own validation set and metrics.

    Raises:
        ValueError: If the config has none.
    """
    if runner.val_loop is None:
        raise ValueError(
            'quantization is judged on the validation set: the config has no '
            'val_dataloader, val_cfg and val_evaluator'
        )
    return Validation(runner.val_loop.dataloader, runner.val_loop.evaluator)


def quantize_in_runner(
    runner: Runner,
    model: BaseModel,
    settings: QuantizationSettings,
    out: Path,
    reference: BaseModel | None = None,
    validation: Validation | None = None,
) -> QuantizationReport:
    """Convert and evaluate a model of the runner's config, and log the report.

    Besides the files of :class:`~hpml_mm.quantization.convert.Conversion`,
    ``out`` gets ``rows.csv``, and loses what an earlier run left there and this one
    does not write; TensorBoard gets a text, where the runner uses it.

    Args:
        runner: Knows config, validation set and visualizer.
        model: A copy of its own, see :func:`trained_model`.
        settings: Method, backend and limits.
        out: Folder.
        reference: See :class:`~hpml_mm.quantization.convert.Conversion`.
        validation: Set that it is judged on; the runner's own where None.

    Raises:
        NothingConverted: If no layer became INT8; ``rows.csv`` says so.
    """
    validation = validation or validation_of(runner)
    config = runner.cfg.filename
    name = f'quantize/{Path(config).stem if config else type(model).__name__}'
    origin = command_line(sys.argv), environment()
    try:
        conversion = Conversion(model, runner.cfg, validation, settings, reference)
        report = conversion.run(out)
    except NothingConverted as error:
        rows = rows_of_nothing(settings, error.layers, name, *origin)
        _remove_earlier(runner, out, None)
        write_results(out / ROWS_FILE, rows)
        raise
    _remove_earlier(runner, out, settings.backend)
    write_results(out / ROWS_FILE, result_rows(report, name, *origin))
    print_report(report)
    if report.search is not None and not report.search.met:
        runner.logger.warning(drop_message(report, settings))
    show_in_tensorboard(report, runner.visualizer)
    return report


def _remove_earlier(runner: Runner, out: Path, backend: str | None) -> None:
    if names := remove_earlier(out, backend):
        runner.logger.warning(f'removed {", ".join(names)} of an earlier run in {out}')


def drop_message(report: QuantizationReport, settings: QuantizationSettings) -> str:
    """Error message for a score that falls by more than ``max_drop``."""
    search = report.search
    assert search is not None  # or there would be no limit
    return (
        f'the score falls by {search.drop:.3g} points with '
        f'{len(search.kept)} layers in FP32, more than max_drop = '
        f"{settings.max_drop:g}: allow more, or train with method 'qat'"
    )
