# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Validation scores, with the contribution of each image to them."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from hpml_mm.compat import has_mmpose

from .paired import ImageMatches, Paired, paired_accuracy, paired_ap

ACCURACY = 'accuracy/top1'
AP = 'coco/AP'


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a validation set.

    Attributes:
        metrics: As its evaluator names them.
        correct: True for each image that was classified right, by split; a data set
            that names none has the split ''.
        matches: For each image, what COCO's evaluation counts of it; empty where AP is
            not computed, or of more than one category.
    """

    metrics: Mapping[str, float]
    correct: Mapping[str, np.ndarray] = field(default_factory=dict)
    matches: Sequence[ImageMatches] = ()


def _no_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    return contextlib.nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Validation:
    """Validation set and metrics, to evaluate models without a runner.

    Attributes:
        loader: Its batches, in the same order each time.
        evaluator: Its metrics, which know the data set's metainfo.
        bar: Context in which each batch is told, and their number.
    """

    loader: DataLoader
    evaluator: Evaluator
    bar: Callable[[], AbstractContextManager[Callable[[int, int], None]]] = _no_bar

    @property
    def metainfo(self) -> Mapping[str, Any]:
        """Classes or keypoints of the data set."""
        return getattr(self.loader.dataset, 'metainfo', None) or {}

    def run(self, model: BaseModel) -> Evaluation:
        """Evaluate a model, put into evaluation mode; its network may be an engine."""
        model.eval()
        recorder, evaluator = _CorrectImages(), self.evaluator
        with (
            self.bar() as show,
            _recording(evaluator, recorder) as read_matches,
            torch.no_grad(),
        ):
            for index, batch in enumerate(self.loader):
                show(index, len(self.loader))
                samples = model.val_step(batch)
                evaluator.process(data_samples=samples, data_batch=batch)
            metrics = evaluator.evaluate(len(cast(Sized, self.loader.dataset)))
            matches = read_matches()
        return Evaluation(metrics, recorder.by_split(_split_names(evaluator)), matches)


@dataclass(frozen=True)
class MetainfoOnly(Validation):
    """Validation set of which only the metainfo is used."""

    def run(self, model: BaseModel) -> Evaluation:
        """Return an evaluation without scores."""
        return Evaluation({})


def compare(
    before: Evaluation, after: Evaluation, resamples: int | None = None
) -> dict[str, Paired]:
    """Paired differences by metric, with the split in front where it has a name.

    Args:
        before: For example in FP32.
        after: In INT8, on the same images.
        resamples: Draws behind the interval; None for the defaults.

    Returns:
        Accuracies in percent, AP from 0 to 1; empty where neither was computed.
    """
    draws = {} if resamples is None else {'resamples': resamples}
    pairs = {}
    for split, correct in before.correct.items():
        name = f'{split}/{ACCURACY}' if split else ACCURACY
        pairs[name] = paired_accuracy(correct, after.correct[split], **draws)
    if before.matches and after.matches:
        pairs[AP] = paired_ap(before.matches, after.matches, **draws)
    return pairs


class _CorrectImages(BaseMetric):
    """Metric that records which images were classified right, and computes nothing."""

    default_prefix = ''

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[str | None, bool]] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            truth, found = sample.get('gt_label'), _label(sample)
            # Images with several labels have no single right answer.
            if found is not None and truth is not None and truth.numel() == 1:
                self._kept.append((sample.get('split'), found == int(truth)))

    def evaluate(self, size: int) -> dict:
        """Nothing; the base class would warn of a metric without results."""
        return {}

    def compute_metrics(self, results: list) -> dict:
        return {}

    def by_split(self, names: Mapping[str, str]) -> dict[str, np.ndarray]:
        found: dict[str, list[bool]] = {}
        for split, right in self._kept:
            name = '' if split is None else names.get(split, split)
            found.setdefault(name, []).append(right)
        return {name: np.array(right) for name, right in found.items()}


def _label(sample: Mapping[str, Any]) -> int | None:
    """The predicted class: that of the largest score, which may be an average."""
    if 'pred_score' in sample:
        return int(sample['pred_score'].argmax())
    return int(sample['pred_label']) if 'pred_label' in sample else None


def _split_names(evaluator: Evaluator) -> Mapping[str, str]:
    """Names of the splits in the project's own metric."""
    for metric in evaluator.metrics:
        if hasattr(metric, 'split_names'):
            return metric.split_names
    return {}


@contextlib.contextmanager
def _recording(evaluator: Evaluator, recorder: BaseMetric) -> Iterator[Any]:
    """Context that adds a metric and has CocoMetric write its detections to a file.

    Yields:
        A function that reads each image's matches after the evaluation.
    """
    coco = _coco_metric(evaluator)
    evaluator.metrics.append(recorder)
    with TemporaryDirectory() as folder:
        prefix = None if coco is None else coco.outfile_prefix
        file = Path(f'{prefix or Path(folder, "found")}.keypoints.json')
        if coco is not None and prefix is None:
            coco.outfile_prefix = str(Path(folder, 'found'))
        try:
            yield lambda: () if coco is None else _image_matches(coco, file)
        finally:
            evaluator.metrics.remove(recorder)
            if coco is not None:
                coco.outfile_prefix = prefix


def _coco_metric(evaluator: Evaluator) -> BaseMetric | None:
    if not has_mmpose():
        return None
    from mmpose.evaluation.metrics import CocoMetric

    found = [m for m in evaluator.metrics if isinstance(m, CocoMetric)]
    return found[0] if len(found) == 1 else None


def _image_matches(metric: Any, file: Path) -> list[ImageMatches]:
    """Counts of COCO's evaluation for each image, at objects of all sizes.

    Args:
        metric: MMPose's CocoMetric, after an evaluation.
        file: Detections that it has written; of several categories, nothing is counted.
    """
    from hpml_mm.compat.xtcocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        found = metric.coco.loadRes(json.loads(file.read_text()))
        sigmas = metric.dataset_meta['sigmas']
        evaluation = COCOeval(
            metric.coco, found, metric.iou_type, sigmas, metric.use_area
        )
        parameters = evaluation.params
        parameters.useSegm = None
        parameters.areaRng = parameters.areaRng[:1]  # all sizes
        if len(parameters.catIds) != 1:
            return []
        evaluation.evaluate()
    return [_matches(image, len(parameters.iouThrs)) for image in evaluation.evalImgs]


def _matches(image: Mapping[str, Any] | None, thresholds: int) -> ImageMatches:
    if image is None:  # neither an object nor a detection
        nothing = np.zeros((thresholds, 0), dtype=bool)
        return ImageMatches(np.zeros(0), nothing, nothing, 0)
    return ImageMatches(
        scores=np.asarray(image['dtScores'], dtype=float),
        matched=np.asarray(image['dtMatches']) >= 0,
        ignored=np.asarray(image['dtIgnore'], dtype=bool),
        objects=int(np.count_nonzero(np.asarray(image['gtIgnore']) == 0)),
    )
