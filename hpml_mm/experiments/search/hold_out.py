# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Change of a config that selects on a part of the training set."""

from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict

# Of the data set that is validated on, whichever samples it has.
_VIEW = ('pipeline', 'augment')
# Of MMDetection's ``PackDetInputs``, where a config does not say others.
_DETECTION_KEYS = (
    *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    *('flip', 'flip_direction'),
)


def hold_out(cfg: Config, share: float, seed: int) -> None:
    """Train on a part of the training set, and validate on the rest of it.

    The split that the config validates on is then seen by no trial, and can be quoted.
    The held-out samples go through the pipeline of the validation. Metrics lose their
    ``ann_file``, which tells of other samples: they take the samples' own annotations.

    Args:
        cfg: Config of a training, changed in place.
        share: Held-out share of the training set.
        seed: Of the choice.

    Raises:
        ValueError: The config has no validation, or data of a kind that cannot be
            split by index.
    """
    train, val = (cfg.get(f'{name}_dataloader') for name in ('train', 'val'))
    if not isinstance(train, dict) or not isinstance(val, dict):
        raise ValueError(
            f'{cfg.filename} has no validation: a search needs val_dataloader, val_cfg '
            'and val_evaluator'
        )
    dataset, seen = train['dataset'], val['dataset']
    if 'dataset' in dataset or 'datasets' in dataset:
        raise ValueError(
            f'{cfg.filename}: train_dataloader.dataset is a {dataset["type"]}, a part '
            'of which cannot go through the pipeline of the validation: search with '
            'the data set that it wraps'
        )
    held = deepcopy(dataset)
    for key in _VIEW:
        held.pop(key, None)
        if key in seen:
            held[key] = deepcopy(seen[key])
    _hand_on_annotations(held.get('pipeline'))
    train['dataset'] = _part(dataset, 'rest', share, seed)
    val['dataset'] = _part(held, 'held-out', share, seed)
    if 'test_mode' in seen:
        val['dataset']['test_mode'] = seen['test_mode']
    _forget_annotations(cfg.get('val_evaluator'))


def _part(dataset: Any, part: str, share: float, seed: int) -> ConfigDict:
    return ConfigDict(
        type='hpml_mm.HeldOutDataset',
        dataset=dataset,
        part=part,
        share=share,
        seed=seed,
    )


def _hand_on_annotations(pipeline: Any) -> None:
    """Have MMDetection's samples hold what its ``CocoMetric`` judges by."""
    for step in pipeline or ():
        kind = step.get('type') if isinstance(step, dict) else None
        if getattr(kind, '__name__', str(kind)).split('.')[-1] == 'PackDetInputs':
            keys = (*step.get('meta_keys', _DETECTION_KEYS), 'instances')
            step['meta_keys'] = tuple(dict.fromkeys(keys))


def _forget_annotations(evaluator: Any) -> None:
    for one in evaluator if isinstance(evaluator, list | tuple) else [evaluator]:
        if isinstance(one, dict):
            one.pop('ann_file', None)
