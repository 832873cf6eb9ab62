# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models, optimizers and data sets without their wrappers; the model of a config."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """Take the model out of a wrapper such as DistributedDataParallel."""
    return cast(nn.Module, model.module) if is_model_wrapper(model) else model


def model_device(model: nn.Module) -> torch.device:
    """Device of the model's first parameter; the CPU if it has none."""
    parameter = next(model.parameters(), None)
    return torch.device('cpu') if parameter is None else parameter.device


def single_wrappers(
    wrapper: BaseOptimWrapper, name: str = ''
) -> dict[str, BaseOptimWrapper]:
    """Optimizer wrappers of one optimizer each, by their dotted names.

    Args:
        wrapper: A wrapper of one optimizer, whose name is ``name``, or an
            ``OptimWrapperDict``.
        name: What the names begin with.
    """
    if not isinstance(wrapper, OptimWrapperDict):
        return {name: wrapper}
    found: dict[str, BaseOptimWrapper] = {}
    for key, inner in wrapper.items():
        found |= single_wrappers(inner, f'{name}.{key}' if name else key)
    return found


def known_length(data: Any) -> int | None:
    """Length of a data set or loader, None where it has none or cannot tell it."""
    try:
        return len(data)
    except Exception:  # whatever a data set's own method raises
        return None


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config as a Runner does, with its data preprocessor.

    Weights are as they are drawn: no ``init_cfg`` is followed.
    """
    model = dict(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(model)


def innermost_dataset(dataset: Any, *until: str) -> Any:
    """Find the data set behind repetitions and class balancing.

    Args:
        dataset: A built data set or the config of one; either may hold another one
            as ``dataset``.
        until: Keys of a config of which the wanted one has at least one, though it
            may hold another data set.
    """
    while True:
        if isinstance(dataset, Mapping):
            found = any(key in dataset for key in until)
            inner = None if found else dataset.get('dataset')
        else:
            inner = getattr(dataset, 'dataset', None)
        if inner is None:
            return dataset
        dataset = inner
