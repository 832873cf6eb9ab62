# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Class weights in the loss, from the training split."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model


@HOOKS.register_module()
class ClassWeightHook(Hook):
    """Weight the classes in the loss by the training split's class counts.

    It sets ``model.head.loss_module.class_weight``, which MMPretrain's
    ``CrossEntropyLoss`` reads. The weights are computed once, from the very data set
    that is trained on, so leaving faces out is taken into account.

    Args:
        power: As in :func:`hpml_mm.datasets.fer.class_balance.class_weights`.

    Raises:
        ValueError: The data are not the training split alone, the model's loss takes
            no class weights or has some already, or the sampler balances too.
    """

    def __init__(self, power: float = 1.0) -> None:
        self.power = power
        self._weights: list[float] | None = None

    def before_train(self, runner: Runner) -> None:
        """Compute the weights and put them into the loss."""
        # Here, because it imports mmpretrain, which other hooks do without.
        from hpml_mm.datasets.fer.class_balance import (
            ClassBalancedSampler,
            class_weights,
            training_labels,
        )

        loader = runner.train_dataloader
        if isinstance(loader.sampler, ClassBalancedSampler):
            raise ValueError(
                'ClassWeightHook and ClassBalancedSampler would correct the class '
                'counts twice: choose one of them'
            )
        loss = _loss_of(runner.model)
        if loss.class_weight is not None and loss.class_weight is not self._weights:
            raise ValueError(
                f'the loss has class_weight={loss.class_weight} already: remove it or '
                'the ClassWeightHook'
            )
        classes = loader.dataset.metainfo['classes']
        weights = class_weights(
            training_labels(loader.dataset), len(classes), self.power
        )
        loss.class_weight = self._weights = weights.tolist()
        text = ', '.join(f'{n} {w:.2f}' for n, w in zip(classes, weights, strict=True))
        runner.logger.info(f'class weights of the loss: {text}')


def _loss_of(model: nn.Module) -> Any:
    model = bare_model(model)
    loss = getattr(getattr(model, 'head', None), 'loss_module', None)
    if not hasattr(loss, 'class_weight'):
        raise ValueError(
            'ClassWeightHook needs model.head.loss_module with class_weight, such as '
            f'CrossEntropyLoss, but the model is {type(model).__name__} with the loss '
            f'{type(loss).__name__}'
        )
    return loss
