# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantization of a model: conversion, evaluation, files and report."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel

from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engine_model import with_engine
from hpml_mm.deploy.engines import EagerEngine, Engine
from hpml_mm.deploy.fold_batch_norm import folded_copy
from hpml_mm.deploy.network import plain_network
from hpml_mm.engine.screen.quiet import ON_SCREEN
from hpml_mm.utils.files import dump_strict, write_atomic

from .backends import BACKENDS, backend_class
from .backends.base import Quantized
from .calibration import calibration_batches, two_images
from .coverage import ASKED_FOR, SEARCHED
from .evaluate import Evaluation, Validation, compare
from .latency import BATCHES, measure_latency
from .report import EngineCost, QuantizationReport
from .search import SearchResult, search
from .sensitivity import layer_sqnr, output_sqnr, pixel_sqnr
from .settings import QuantizationSettings

# The output's noise is measured on so many batches.
_NOISE_BATCHES = 2
FP32_FILE = 'model_fp32.onnx'
REPORT_FILE = 'report.json'
_INT8 = 'model_int8'


class Conversion:
    """Conversion of one model; the constructor calibrates and converts all layers.

    Args:
        model: On the CPU, in FP32.
        cfg: Its config: calibration reads the training images that it names.
        validation: Set that FP32 and INT8 are evaluated on.
        settings: Method, backend and limits.
        reference: Model that INT8 is compared with in FP32; the model itself where
            None.

    Raises:
        NothingConverted: If no layer became INT8; then nothing is written.
        ValueError: If the model, the calibration images or the settings do not allow
            it; it says why.
    """

    def __init__(
        self,
        model: BaseModel,
        cfg: Config,
        validation: Validation,
        settings: QuantizationSettings,
        reference: BaseModel | None = None,
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
        network = plain_network(model)
        self.folded = folded_copy(network, two_images(self.batches))
        self.backend = backend_class(settings.backend)(
            network,
            self.spec,
            self.batches,
            settings.method,
            settings.ranges,
            self.folded,
        )
        # Converting nothing is noticed here, before the long evaluations.
        self.first = self.backend.convert(settings.keep)

    def run(self, out: Path) -> QuantizationReport:
        """Search, evaluate, time and export.

        The folder, made where it is missing, gets ``model_int8.onnx`` (``.xml`` of
        OpenVINO, no file of backends that have none), ``model_fp32.onnx`` beside it,
        and ``report.json``.
        """
        settings = self.settings
        before = self.validation.run(self.reference)
        # Nothing hangs on the ranking where it is not searched along.
        some = None if settings.max_drop is not None else 1
        ranking = layer_sqnr(self.folded, self.batches[:some])
        found = self._search(before, [layer.name for layer in ranking])
        keep = self._reasons(() if found is None else found.kept)
        suffixes = self.backend.suffixes
        path = out / f'{_INT8}{suffixes[0]}' if suffixes else None
        quantized = self.backend.convert(keep, path)
        after = self._judge(quantized)
        own = EagerEngine(plain_network(self.model))
        noise_batches = self.batches[:_NOISE_BATCHES]
        eager, fp32, int8 = self._costs(out / FP32_FILE, quantized.engine)
        report = QuantizationReport(
            method=settings.method,
            backend=settings.backend,
            before=before.metrics,
            after=after.metrics,
            pairs=compare(before, after),
            eager=eager,
            fp32=fp32,
            int8=int8,
            coverage=quantized.coverage,
            ranking=ranking,
            search=found,
            samples=0 if settings.method == 'dynamic' else settings.samples,
            output_sqnr=output_sqnr(own, quantized.engine, noise_batches),
            pixel_sqnr=pixel_sqnr(own, self.batches[:1], self.spec.std),
        )
        write_atomic(out / REPORT_FILE, dump_strict(report.record()))
        return report

    def _judge(self, quantized: Quantized) -> Evaluation:
        return self.validation.run(with_engine(self.model, quantized.engine))

    def _search(self, before: Evaluation, ranked: Sequence[str]) -> SearchResult | None:
        """Choose the worst layers that must stay in FP32; None without a limit."""
        if self.settings.max_drop is None:
            return None
        converted = {layer.name for layer in self.first.coverage.converted}

        def drop(keep: tuple[str, ...]) -> float:
            quantized = self.first
            if keep:
                quantized = self.backend.convert(self._reasons(keep))
            points = drop_in_points(before, self._judge(quantized))
            text = f'{len(keep)} layers kept: drop {points:.3f} points'
            MMLogger.get_current_instance().info(text, extra=ON_SCREEN)
            return points

        candidates = [name for name in ranked if name in converted]
        return search(drop, candidates, self.settings.max_drop)

    def _reasons(self, searched: Sequence[str]) -> dict[str, str]:
        """Reasons of the layers in FP32: the user's wish goes first."""
        asked = dict.fromkeys(self.settings.keep, ASKED_FOR)
        return dict.fromkeys(searched, SEARCHED) | asked

    def _costs(self, fp32_file: Path, int8: Engine) -> list[EngineCost]:
        """Latency and size of eager PyTorch, of FP32 in the backend, and of INT8."""
        network, name = plain_network(self.reference), self.settings.backend
        same = self.reference is self.model
        eager = EagerEngine(network)
        own = self.backend.fp32_engine(fp32_file, None if same else network)
        engines = {'eager': eager, 'fp32': own or eager, 'int8': int8}
        labels = ('FP32 eager', f'FP32 {name if own else "eager"}', f'INT8 {name}')
        images, budget = torch.cat(self.batches), self.settings.latency_seconds
        times = {
            batch: measure_latency(engines, images[:batch].clone(), budget=budget)
            for batch in (BATCHES if budget else ())
        }
        return [
            EngineCost(
                label,
                engine.size_mib,
                {batch: found[key] for batch, found in times.items()},
            )
            for label, (key, engine) in zip(labels, engines.items(), strict=True)
        ]


def drop_in_points(before: Evaluation, after: Evaluation) -> float:
    """Largest drop over the splits, in points: percent, or hundredths of AP.

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


def remove_earlier(out: Path, backend: str | None) -> list[str]:
    """Delete files of an earlier run that this one does not write.

    Args:
        out: Folder; it need not be there.
        backend: Backend of this run; None if it leaves neither model nor report.

    Returns:
        Names of the files that were there.
    """
    suffixes = {suffix for each in BACKENDS.values() for suffix in each.suffixes}
    known = [f'{_INT8}{suffix}' for suffix in sorted(suffixes)]
    own: set[str] = set()
    if backend is not None:
        files = backend_class(backend).suffixes
        own = {REPORT_FILE, *(f'{_INT8}{suffix}' for suffix in files)}
        own |= {FP32_FILE} if files else set()
    stale = [
        name
        for name in (*known, FP32_FILE, REPORT_FILE)
        if name not in own and (out / name).exists()
    ]
    for name in stale:
        (out / name).unlink()
    return stale
