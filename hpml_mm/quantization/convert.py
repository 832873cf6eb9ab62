# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantize a model, judge it, and leave files and a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel

from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engine_model import with_engine
from hpml_mm.deploy.engines import (
    EagerEngine,
    Engine,
    InductorEngine,
    OnnxEngine,
    OpenVinoEngine,
)
from hpml_mm.deploy.network import plain_network
from hpml_mm.deploy.onnx_file import export_onnx
from hpml_mm.quantization.backends.base import Converter, Quantized, prepared_copy
from hpml_mm.quantization.backends.inductor import compiled
from hpml_mm.utils.files import dump_strict, write_atomic

from .calibration import calibration_batches, two_images
from .coverage import ASKED_FOR, SEARCHED
from .evaluate import Evaluation, Validation, compare
from .files import FP32_FILE, REPORT_FILE, int8_file
from .latency import BATCHES, Latency, measure_latency
from .output_noise import output_sqnr, pixel_sqnr
from .report import EngineResult, QuantizationReport
from .search import SearchResult, search
from .sensitivity import layer_sqnr
from .settings import QuantizationSettings

# The output's noise is measured on so many batches.
_NOISE_BATCHES = 2


def convert_and_report(
    model: BaseModel,
    cfg: Config,
    validation: Validation,
    settings: QuantizationSettings,
    out: Path,
    reference: BaseModel | None = None,
) -> QuantizationReport:
    """Calibrate, convert, evaluate, time and export a model.

    ``out`` gets ``model_int8.onnx`` (``.xml`` of OpenVINO, no file of backends that
    have none), ``model_fp32.onnx`` beside it, and ``report.json``.

    Args:
        model: On the CPU, in FP32.
        cfg: Its config: calibration reads the training images that it names.
        validation: What FP32 and INT8 are evaluated on.
        settings: How.
        out: Folder, made where it is missing.
        reference: What INT8 is compared with in FP32; the model itself where None.

    Raises:
        NothingConverted: If no layer became INT8; then nothing is written.
        ValueError: If the model, the calibration images or the settings do not allow
            it; it says why.
    """
    return _Conversion(model, cfg, validation, settings, reference).run(out)


class _Conversion:
    """One model on its way to INT8; the arguments are as above."""

    def __init__(
        self,
        model: BaseModel,
        cfg: Config,
        validation: Validation,
        settings: QuantizationSettings,
        reference: BaseModel | None,
    ) -> None:
        self.model, self.reference = model.eval(), (reference or model).eval()
        self.validation, self.settings = validation, settings
        self.spec = spec_of(cfg, model, validation.metainfo)
        self.batches = calibration_batches(
            cfg,
            settings.samples,
            seed=settings.seed,
            preprocessor=model.data_preprocessor,
        )
        self.converter = Converter(
            plain_network(model),
            self.spec,
            self.batches,
            settings.method,
            settings.backend,
            settings.ranges,
        )

    def run(self, out: Path) -> QuantizationReport:
        settings = self.settings
        # Converting nothing is noticed here, before the long evaluations.
        first = self.converter.convert(settings.keep)
        before = self.validation.run(self.reference)
        # Nothing hangs on the ranking where it is not searched along.
        some = None if settings.max_drop is not None else 1
        ranking = layer_sqnr(plain_network(self.model), self.batches[:some])
        found = self._search(first, before, [layer.name for layer in ranking])
        keep = self._reasons(() if found is None else found.kept)
        quantized = self.converter.convert(keep, int8_file(out, settings.backend))
        after = self._judge(quantized)
        engines = {**self._fp32_engines(out), 'int8': quantized.engine}
        report = QuantizationReport(
            method=settings.method,
            backend=settings.backend,
            before=before.metrics,
            after=after.metrics,
            pairs=compare(before, after),
            coverage=quantized.coverage,
            ranking=ranking,
            search=found,
            samples=0 if settings.method == 'dynamic' else settings.samples,
            **self._noise(quantized.engine),
            **self._results(engines),
        )
        write_atomic(out / REPORT_FILE, dump_strict(report.record()))
        return report

    def _noise(self, engine: Engine) -> dict[str, float]:
        own = EagerEngine(plain_network(self.model))
        return {
            'output_sqnr': output_sqnr(own, engine, self.batches[:_NOISE_BATCHES]),
            'pixel_sqnr': pixel_sqnr(own, self.batches[:1], self.spec.std),
        }

    def _judge(self, quantized: Quantized) -> Evaluation:
        return self.validation.run(with_engine(self.model, quantized.engine))

    def _search(
        self, first: Quantized, before: Evaluation, ranked: Sequence[str]
    ) -> SearchResult | None:
        """How many of the worst layers must stay in FP32; None without a limit."""
        if self.settings.max_drop is None:
            return None
        converted = {layer.name for layer in first.coverage.converted}

        def drop(keep: tuple[str, ...]) -> float:
            quantized = first
            if keep:
                quantized = self.converter.convert(self._reasons(keep))
            points = drop_in_points(before, self._judge(quantized))
            print_log(f'{len(keep)} layers kept: drop {points:.3f} points', 'current')
            return points

        candidates = [name for name in ranked if name in converted]
        return search(drop, candidates, self.settings.max_drop)

    def _reasons(self, searched: Sequence[str]) -> dict[str, str]:
        """Why layers stay in FP32: the user's wish goes first."""
        asked = dict.fromkeys(self.settings.keep, ASKED_FOR)
        return dict.fromkeys(searched, SEARCHED) | asked

    def _fp32_engines(self, out: Path) -> dict[str, Engine]:
        """Eager PyTorch and the backend's own engine, with the reference."""
        network, example = plain_network(self.reference), two_images(self.batches)
        eager = EagerEngine(network)
        if self.settings.backend == 'torch':
            return {'eager': eager, 'fp32': eager}
        # The graph that INT8 has, so that nothing but INT8 makes the difference.
        if self.settings.backend == 'inductor':
            same = compiled(prepared_copy(network, example, 'inductor'))
            return {'eager': eager, 'fp32': InductorEngine(same, eager.size_mib)}
        if self.reference is self.model:
            path = self.converter.fp32_file(out / FP32_FILE)
        else:
            same = prepared_copy(network, example, self.settings.backend)
            path = export_onnx(same, self.spec, out / FP32_FILE, example).path
        openvino = self.settings.backend == 'openvino'
        own = OpenVinoEngine(path) if openvino else OnnxEngine(path)
        return {'eager': eager, 'fp32': own}

    def _results(self, engines: Mapping[str, Engine]) -> dict[str, EngineResult]:
        """Sizes and latencies, each engine timed in turns with the others."""
        # Eager PyTorch may be the backend's own engine, and is timed once.
        distinct = {id(engine): engine for engine in engines.values()}
        images, budget = torch.cat(self.batches), self.settings.latency_seconds
        times: dict[int, dict[int, Latency]] = {}
        for batch in BATCHES if budget else ():
            some = images[:batch].clone()
            times[batch] = measure_latency(distinct, some, budget=budget)
        backend = self.settings.backend
        labels = {'eager': 'FP32 eager', 'fp32': f'FP32 {backend}'}
        if engines['fp32'] is engines['eager']:
            labels['fp32'] = labels['eager']
        labels['int8'] = f'INT8 {backend}'
        return {
            name: EngineResult(
                labels[name],
                engine.size_mib,
                {batch: timed[id(engine)] for batch, timed in times.items()},
            )
            for name, engine in engines.items()
        }


def drop_in_points(before: Evaluation, after: Evaluation) -> float:
    """The largest drop of any split, in percent or hundredths of AP.

    Raises:
        ValueError: If there is neither an accuracy nor AP.
    """
    pairs = compare(before, after, resamples=1)
    if not pairs:
        raise ValueError(
            'the drop is not known: the evaluator gives neither accuracy/top1 nor '
            'coco/AP. Set max_drop to None (--max-drop none) to quantize all layers'
        )
    return max(pair.points(pair.drop) for pair in pairs.values())
