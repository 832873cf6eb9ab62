# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small questions about a model that many parts ask."""

import torch
from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """The model within a wrapper such as DistributedDataParallel."""
    return model.module if is_model_wrapper(model) else model


def model_device(model: nn.Module) -> torch.device:
    """Where the model's first parameter lies; the CPU if it has none."""
    parameter = next(model.parameters(), None)
    return torch.device('cpu') if parameter is None else parameter.device
