# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The labels' scale, from the training data alone."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model


@HOOKS.register_module()
class TargetScalingHook(Hook):
    """Fits a predictor's target scaling on the data set that it is trained on.

    Before the first step, so that what is loaded from a checkpoint of another data set
    gives way. Validation and test labels are never looked at.
    """

    def before_train(self, runner: Runner) -> None:
        """Fits the scaling."""
        data = runner.train_dataloader.dataset
        model = bare_model(runner.model)
        model.fit_scaler(torch.as_tensor(data.labels), torch.as_tensor(data.macs))
        scaler = model.current_scaler
        runner.logger.info(
            f'target scaling {scaler.scaling}, from {len(data)} networks: mean '
            f'{scaler.mean.item():.4g}, spread {scaler.spread.item():.4g}'
        )
