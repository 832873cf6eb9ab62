# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Calibration data: training images with the validation pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.deploy.network import plain_network
from hpml_mm.utils.model import innermost_dataset

#: Fewer images make ranges that depend on which ones they are.
MINIMUM = 128
# Names of a data set's own steps.
_STEPS = ('pipeline', 'augment')


def calibration_batches(
    cfg: Config,
    count: int = MINIMUM,
    batch_size: int = 32,
    seed: int = 0,
    preprocessor: nn.Module | None = None,
) -> list[Tensor]:
    """Batches of training images with the steps of validation.

    Args:
        cfg: Config of a run; its training data go through the validation pipeline.
        count: Number of images, at least 128.
        batch_size: Images in one batch; the last one may be smaller.
        seed: Seed of the choice.
        preprocessor: The model's; built from the config where None.

    Returns:
        Normalised float32 images of shape (N, C, H, W), on the CPU.

    Raises:
        ValueError: The count is too small or larger than the training split, the
            config has no such data, or an image holds NaN or infinity; it is named.
    """
    if count < MINIMUM:
        raise ValueError(
            f'{count} images are too few to calibrate with: use {MINIMUM} or more'
        )
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        dataset = _training_images(cfg)
        if len(dataset) < count:
            raise ValueError(
                f'the training split holds {len(dataset)} images, fewer than the '
                f'{count} to calibrate with: it takes {MINIMUM} at least'
            )
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(dataset), generator=generator)[:count]
        settings = {
            'dataset': dataset,
            'sampler': chosen.tolist(),
            'batch_size': batch_size,
            'num_workers': 0,
        }
        if collate := _evaluation_loader(cfg).get('collate_fn'):
            settings['collate_fn'] = collate
        loader = Runner.build_dataloader(settings)
        preprocessor = preprocessor or _preprocessor(cfg)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return [_checked(preprocessor(data, False)) for data in loader]


def two_images(batches: Sequence[Tensor]) -> Tensor:
    """Example batch of two images: exporters would take a size of one for fixed."""
    first = batches[0]
    return first[:2] if len(first) > 1 else torch.cat([first, first])


def without_pretrained_(model: ConfigDict) -> None:
    """Remove pretrained weights from a model's config, in place."""
    for key, value in list(model.items()):
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                without_pretrained_(part)
        pretrained = isinstance(value, dict) and value.get('type') == 'Pretrained'
        if key == 'init_cfg' and pretrained:
            model.pop(key)


def estimate_statistics_(model: BaseModel, batches: Sequence[Tensor]) -> None:
    """Estimate BatchNorm's statistics of a network with random weights, in place.

    Straight from their initialisation they say little of INT8: BatchNorm's statistics
    are neutral, and many residual branches end in a factor of zero. The branches are
    switched on, and BatchNorm gets the statistics of real images.

    Args:
        model: A classifier or a top-down pose model.
        batches: Normalised images of shape (N, C, H, W).
    """
    network = plain_network(model).eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        if norm.affine and not norm.weight.any():
            torch.nn.init.ones_(norm.weight)
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _training_images(cfg: Config) -> Any:
    """The training data set with the steps of validation."""
    if not cfg.get('train_dataloader'):
        raise ValueError(
            'the config has no train_dataloader, and calibration needs its images'
        )
    settings = dict(innermost_dataset(cfg.train_dataloader.dataset, *_STEPS))
    other = innermost_dataset(_evaluation_loader(cfg)['dataset'], *_STEPS)
    steps = [name for name in _STEPS if name in settings]
    if not steps or any(name not in other for name in steps):
        raise ValueError(
            'calibration cannot give the training data set '
            f'({settings.get("type")}) the pipeline of the validation one '
            f'({other.get("type")}): they must be of one kind'
        )
    dataset = DATASETS.build({**settings, **{name: other[name] for name in steps}})
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    return dataset


def _evaluation_loader(cfg: Config) -> Mapping[str, Any]:
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    if not loader:
        raise ValueError(
            'the config has neither val_dataloader nor test_dataloader, whose pipeline '
            'calibration needs'
        )
    return loader


def _preprocessor(cfg: Config) -> nn.Module:
    """Build the data preprocessor as ImageClassifier and TopdownPoseEstimator do."""
    settings = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if not settings:
        raise ValueError('the config has no data_preprocessor, neither in its model')
    default = {} if 'type' in settings else {'type': 'mmpretrain.ClsDataPreprocessor'}
    return MODELS.build({**default, **settings})


def _checked(batch: Mapping[str, Any]) -> Tensor:
    """Return the images of a batch; refuse NaN and infinity."""
    images = batch['inputs'].float().cpu().contiguous()
    for image, sample in zip(images, batch.get('data_samples') or (), strict=False):
        if not image.isfinite().all():
            place = getattr(sample, 'img_path', 'one without a path')
            raise ValueError(
                f'calibration image {place} has NaN or infinite values after '
                'normalisation: mend or remove it, and see mean and std of '
                'data_preprocessor'
            )
    if not images.isfinite().all():
        raise ValueError('a calibration image has NaN or infinite values')
    return images
