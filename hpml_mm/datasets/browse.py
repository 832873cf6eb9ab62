# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Samples of a config's data as they pass its pipeline, for looking at."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate, pseudo_collate
from mmengine.registry import DATA_SAMPLERS, DATASETS, DefaultScope

from hpml_mm.utils.model import build_model
from hpml_mm.utils.random_states import random_states_kept, seed_everything

from .sample_pictures import (
    BrowsedSample,
    Picture,
    inputs_of,
    label_text,
    original_of,
    packed_boxes,
    packed_fields,
    places_of,
    to_rgb,
    without_normalization,
)
from .seeded_dataset import SeededDataset

PHASES = ('train', 'val', 'test')


def phase_loader(cfg: Config, phase: str) -> Mapping[str, Any]:
    """Take the config of the loader of a phase.

    Raises:
        ValueError: If there is none.
    """
    loader = cfg.get(f'{phase}_dataloader')
    if isinstance(loader, list | tuple) and loader:
        loader = loader[0]
    if not (isinstance(loader, Mapping) and loader.get('dataset')):
        there = [one for one in PHASES if cfg.get(f'{one}_dataloader')]
        raise ValueError(
            f'{cfg.filename} has no {phase}_dataloader with a dataset; '
            f'there is: {", ".join(there) or "none"}'
        )
    return loader


def epoch_order(
    loader: Mapping[str, Any], dataset: Any, seed: int, number: int
) -> list[int]:
    """Order of the first samples of an epoch, each of them once.

    It is that of the loader's sampler with this seed; a loader without one is read from
    the first sample on.
    """
    number = min(number, len(dataset))
    sampler = loader.get('sampler')
    if not isinstance(sampler, Mapping):
        return list(range(number))
    built = DATA_SAMPLERS.build(
        dict(sampler), default_args={'dataset': dataset, 'seed': seed}
    )
    order: dict[int, None] = {}
    for index in built:
        order[int(index)] = None
        if len(order) >= number:
            break
    return list(order)


class DataBrowser:
    """Reader of the samples of a phase, each with all steps of its pipeline.

    They come in the order of an epoch. Augmentation follows from seed and sample, as
    with :class:`hpml_mm.engine.hooks.SampleSeedHook` in the first epoch.

    Args:
        cfg: A checked config.
        phase: ``'train'``, ``'val'`` or ``'test'``.
        seed: Seed of order and augmentation.
        rgb: True for a pipeline whose arrays are RGB; MMCV's are BGR.

    Raises:
        ValueError: If the config has no such loader.
    """

    def __init__(
        self, cfg: Config, phase: str, seed: int = 0, rgb: bool = False
    ) -> None:
        self.cfg, self.phase, self.seed, self.rgb = cfg, phase, seed, rgb
        self.loader = phase_loader(cfg, phase)
        self.recorder = _Recorder(rgb)
        with self._scope():
            self.dataset = DATASETS.build(self.loader['dataset'])
        _record(self.dataset, self.recorder)
        self.meta = dict(getattr(self.dataset, 'metainfo', None) or {})
        self.classes = self.meta.get('classes') or ()
        if hasattr(self.dataset, 'seed_samples'):
            self.dataset.seed_samples(seed, lambda: 0)

    def read(self, number: int) -> Iterator[BrowsedSample]:
        """Read so many samples at most."""
        seeded = SeededDataset(self.dataset, self.seed, lambda: 0)
        with self._scope():
            order = epoch_order(self.loader, self.dataset, self.seed, number)
            for index in order:
                self.recorder.clear()
                item = seeded[index]
                yield self._browsed(index, item)

    def preprocess(self, samples: Sequence[BrowsedSample]) -> None:
        """Add to each what the model's data preprocessor makes of them as one batch.

        MixUp and CutMix happen there, and padding. The normalisation is undone, so that
        it can be looked at; the label is that of the mixture.
        """
        preprocessor = cast(Any, build_model(self.cfg)).data_preprocessor
        batch = _collate([sample.item for sample in samples])
        with random_states_kept(), torch.no_grad():
            seed_everything(self.seed)
            made = preprocessor(batch, training=self.phase == 'train')
        images = without_normalization(preprocessor, made['inputs'])
        for sample, image, packed in zip(
            samples,
            images,
            made.get('data_samples') or [None] * len(images),
            strict=True,
        ):
            last = sample.steps[-1]
            fits = last.image.shape[:2] == image.shape[:2]
            places = (last.points, last.visible, last.boxes) if fits else ()
            sample.steps.append(Picture('batch', image, *places))
            sample.label = (
                label_text(packed_fields(packed), self.classes) or sample.label
            )

    def _scope(self) -> AbstractContextManager:
        return DefaultScope.overwrite_default_scope(self.cfg.get('default_scope'))

    def _browsed(self, index: int, item: dict[str, Any]) -> BrowsedSample:
        info = self.recorder.info
        if info is None:
            info = _entry(self.dataset, index)
        packed = item.get('data_samples')
        label = label_text(info, self.classes)
        steps = list(self.recorder.pictures)
        last = steps[-1] if steps else None
        boxes = None if last else packed_boxes(packed)
        for number, image in enumerate(inputs_of(item, self.rgb)):
            name = f'inputs {number}' if number else 'inputs'
            fits = last is not None and last.image.shape == image.shape
            places = (last.points, last.visible, last.boxes) if fits and last else ()
            steps.append(Picture(name, image, *places or (None, None, boxes)))
        original = original_of(info, self.rgb) or steps[0]
        name = str(info.get('img_path', f'#{index}'))
        label = label or label_text(packed_fields(packed), self.classes)
        return BrowsedSample(index, name, label, original, steps, item)


class _Recorder:
    """Memory of what the pipelines do to one sample."""

    def __init__(self, rgb: bool) -> None:
        self.rgb = rgb
        self.depth = 0
        self.clear()

    def clear(self) -> None:
        self.info: dict[str, Any] | None = None
        self.pictures: list[Picture] = []

    def begin(self, data: Any) -> None:
        if self.info is None and isinstance(data, Mapping):
            self.info = dict(data)

    def note(self, step: str, data: Any) -> None:
        if not isinstance(data, Mapping) or data.get('img') is None:
            return
        images = data['img'] if isinstance(data['img'], list | tuple) else [data['img']]
        places = places_of(data)
        for number, image in enumerate(images):
            name = f'{step} {number}' if number else step
            self.pictures.append(Picture(name, to_rgb(image, self.rgb), *places))


class _RecordingCompose(Compose):
    """Pipeline that tells a recorder of each step."""

    def __init__(self, transforms: Sequence, recorder: _Recorder) -> None:
        super().__init__(None)
        self.transforms = list(transforms)
        self.recorder = recorder

    def __call__(self, data: dict) -> dict | None:
        recorder = self.recorder
        # Another sample that a step asks for, to be mixed in, is no step of this one.
        outer = recorder.depth == 0
        recorder.depth += 1
        try:
            if outer:
                recorder.begin(data)
            for transform in self.transforms:
                made = transform(data)
                if made is None:
                    if outer:  # the data set takes another sample
                        recorder.clear()
                    return None
                data = made
                if outer:
                    recorder.note(type(transform).__name__, data)
            return data
        finally:
            recorder.depth -= 1


def _record(dataset: Any, recorder: _Recorder) -> None:
    """Have all pipelines of a data set, and of those within it, tell of their steps."""
    pipeline = getattr(dataset, 'pipeline', None)
    if isinstance(pipeline, list):  # it mixes several samples by itself
        return
    transforms = getattr(pipeline, 'transforms', None)
    if transforms is not None:
        dataset.pipeline = _RecordingCompose(transforms, recorder)
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if one is not None:
            _record(one, recorder)


def _entry(dataset: Any, index: int) -> dict[str, Any]:
    """Entry of a data set without a pipeline that could be watched."""
    get = getattr(dataset, 'get_data_info', None)
    info = dict(get(index)) if get else {}
    if hasattr(dataset, 'get_image'):
        info['img'] = dataset.get_image(index)
    return info


def _collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate as MMPretrain's loaders do, or as all others where sizes differ."""
    inputs = [item['inputs'] for item in items]
    alike = all(isinstance(one, torch.Tensor) for one in inputs)
    same = alike and len({one.shape for one in inputs}) == 1
    return (default_collate if same else pseudo_collate)(items)
