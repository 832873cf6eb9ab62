# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fast images and targets of a top-down model, in any MMPose config."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dataset import Compose, default_collate, pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from hpml_mm.registry import HOOKS, MODELS
from hpml_mm.utils.model import bare_model, innermost_dataset, model_device

#: Settings of PoseDataPreprocessor that PoseTargetPreprocessor has too.
_SHARED = ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr', 'non_blocking', 'batch_augments')
#: A loader, the data set in it that has a pipeline, the config of its new loading of
#: images, and the steps that follow.
_Change = tuple[DataLoader, Any, dict[str, Any], Compose]
_PREPROCESSORS = ('PoseDataPreprocessor', 'mmpose.PoseDataPreprocessor')


@HOOKS.register_module()
class FastPoseInputHook(Hook):
    """Gives an MMPose top-down config cached, fused and batched input.

    Images are decoded once (``LoadCachedImage``), flipped, jittered and cropped in one
    warp (``FusedTopdownWarp``), sent as bytes (``PackKeypoints``), normalised and given
    their heatmaps on the model's device (``PoseTargetPreprocessor``). What the model
    sees is what the config's own pipelines would have shown it, to one level of a few
    pixels, from the same random numbers.

    It is all or nothing: where one of the pipelines has a step that cannot be fused,
    all stay as they are, and one warning says which step it is. A cache for which there
    is no room or no folder is an error.

    Args:
        cache_gib: Room for decoded images, in GiB, of each data set and process.
        cache_dir: Folder on a fast local disk for images that do not fit in memory;
            None for memory.
    """

    # After SpeedHook, whose memory format the images take, and before hooks that copy
    # the model.
    priority = 'HIGH'

    def __init__(self, cache_gib: float = 1.0, cache_dir: str | None = None) -> None:
        self.cache_gib, self.cache_dir = cache_gib, cache_dir

    def before_run(self, runner: Runner) -> None:
        """Replace pipelines and preprocessor; no worker runs yet."""
        try:
            pipelines, preprocessor = self._plan(runner)
        except ValueError as error:
            runner.logger.log(
                logging.WARNING, f'FastPoseInputHook leaves the input as it is: {error}'
            )
            return
        for loader, dataset, load, rest in pipelines:
            # Here, where it is an error if there is no room for a cache.
            dataset.pipeline = Compose([load, *rest.transforms])
            _stack(loader)
        model = bare_model(runner.model)
        model.data_preprocessor = preprocessor.to(model_device(model))
        runner.logger.info(
            f'FastPoseInputHook: {len(pipelines)} data sets keep up to '
            f'{self.cache_gib:g} GiB of decoded images each, in '
            f'{self.cache_dir or "memory"}, and crop in one warp'
        )

    def _plan(self, runner: Runner) -> tuple[list[_Change], nn.Module]:
        """Build all replacements first, so that an error changes nothing."""
        # Here, because they import mmpose, which other hooks do without.
        from hpml_mm.datasets.pose.fused_pipeline import fuse_pipeline

        pipelines, encoders = [], []
        for mode in ('train', 'val', 'test'):
            loop = getattr(runner, f'_{mode}_loop')  # the property would build it
            if not isinstance(loop, BaseLoop):
                continue
            name = f'{mode}_dataloader'
            # A loader that was given to the runner as an object is in no config.
            settings = innermost_dataset(runner.cfg.get(name, {}).get('dataset'))
            dataset = innermost_dataset(loop.dataloader.dataset)
            _check_pipeline(dataset, settings, name)
            try:
                fused = fuse_pipeline(
                    settings['pipeline'], self.cache_gib, self.cache_dir
                )
            except ValueError as error:
                raise ValueError(f'{name}.dataset.pipeline: {error}') from error
            load, *rest = fused.steps
            pipelines.append((loop.dataloader, dataset, load, Compose(rest)))
            if fused.encoder is not None:
                encoders.append(fused.encoder)
        if any(encoder != encoders[0] for encoder in encoders):
            raise ValueError('the pipelines make targets by different encoders')
        return pipelines, _preprocessor(runner, encoders[0] if encoders else None)


def _stack(loader: DataLoader) -> None:
    """Stack images of one size where they are read, in the workers if there are any."""
    if getattr(loader.collate_fn, 'func', loader.collate_fn) is pseudo_collate:
        loader.collate_fn = default_collate


def _check_pipeline(dataset: Any, settings: Any, place: str) -> None:
    if not isinstance(settings, Mapping) or 'datasets' in settings:
        raise ValueError(f'{place}.dataset is not the config of one data set')
    if 'pipeline' not in settings or not hasattr(dataset, 'pipeline'):
        raise ValueError(f'{place}.dataset has no pipeline')


def _preprocessor(runner: Runner, encoder: dict[str, Any] | None) -> nn.Module:
    settings = runner.cfg.get('model', {}).get('data_preprocessor') or {}
    other = settings.keys() - {'type', *_SHARED}
    if settings.get('type') not in _PREPROCESSORS or other:
        kind = ', '.join([str(settings.get('type')), *sorted(other)])
        raise ValueError(
            f'model.data_preprocessor is {kind}, not a plain PoseDataPreprocessor'
        )
    shared = {key: settings[key] for key in _SHARED if key in settings}
    return MODELS.build(
        {
            'type': 'hpml_mm.PoseTargetPreprocessor',
            'encoder': encoder,
            'channels_last': _is_channels_last(runner.model),
            **shared,
        }
    )


def _is_channels_last(model: nn.Module) -> bool:
    weights = [weight for weight in model.parameters() if weight.dim() == 4]
    return bool(weights) and all(
        weight.is_contiguous(memory_format=torch.channels_last) for weight in weights
    )
