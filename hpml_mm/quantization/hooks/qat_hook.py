# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantization-aware training, and the conversion at its end."""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from hpml_mm.engine.speed import CompiledForward
from hpml_mm.engine.weights import load_fitting
from hpml_mm.quantization.qat import (
    freeze_batch_norm_,
    freeze_observers_,
    insert_fake_quant_,
    remove_fake_quant_,
    share_fake_quant_,
)
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model

from .quantization_hook import QuantizationHook

# Only the state of a network with fake quantization has such keys.
_MARK = '.input_fake_quant.'


@HOOKS.register_module()
class QATHook(QuantizationHook):
    """Trains with fake quantization, converts and evaluates the result.

    From epoch ``start`` on, convolutions and linear layers round their weights and
    inputs (:mod:`hpml_mm.quantization.qat`); validation rounds too. From epoch
    ``freeze`` on, BatchNorm and the ranges of inputs stay as they are, and weights
    adapt to them. At the end a copy is made plain and is converted as in post-training
    quantization. Checkpoints in between are those of a plain model, and two numbers
    more for each layer; resuming from them goes on with fake quantization.

    An average of the weights (EMAHook) rounds with the ranges of the training.

    Args:
        start: First epoch with fake quantization, from 1.
        freeze: First epoch with frozen BatchNorm and ranges; None for none.
        percentile: See :class:`hpml_mm.quantization.qat.InputFakeQuant`.
        reference: Checkpoint of the FP32 model that INT8 is compared with; None for
            the trained weights in FP32.
        settings: See :class:`QuantizationHook`; layers of its ``keep`` round nothing.
        out: See :class:`QuantizationHook`.

    Raises:
        ValueError: If the epochs are not in order; before the first step, if training
            does not reach them, counts none, or is compiled.
    """

    method = 'qat'
    # Before EMAHook loads a checkpoint into its copy of the model.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        start: int = 1,
        freeze: int | None = None,
        percentile: float = 100.0,
        reference: str | None = None,
        settings: Mapping[str, Any] | None = None,
        out: str | None = None,
    ) -> None:
        super().__init__(settings, out)
        if start < 1:
            raise ValueError(f'QATHook: start is {start}; epochs count from 1')
        if freeze is not None and freeze <= start:
            raise ValueError(
                f'QATHook: freeze is {freeze} and start {start}: at least one epoch '
                'must find the ranges before they are frozen'
            )
        self.start = start
        self.freeze = freeze
        self.percentile = percentile
        self.reference = reference

    def before_train(self, runner: Runner) -> None:
        """Check the epochs of the settings against the run's.

        Raises:
            ValueError: If training ends before, counts iterations only, or is compiled.
        """
        super().before_train(runner)
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'QATHook counts epochs, and this training counts iterations: use '
                'train_cfg.by_epoch=True'
            )
        parts = bare_model(runner.model).modules()
        if any(isinstance(vars(m).get('forward'), CompiledForward) for m in parts):
            raise ValueError(
                'QATHook changes layers in the course of training, which a compiled '
                'model would not see: remove compile from SpeedHook'
            )
        last = max(self.start, self.freeze or 0)
        if last > runner.max_epochs:
            raise ValueError(
                f'QATHook: start={self.start} and freeze={self.freeze} are not reached '
                f'in {runner.max_epochs} epochs'
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Insert fake quantization if the checkpoint to resume from has it."""
        if runner._resume and any(_MARK in key for key in checkpoint['state_dict']):
            self._insert(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Insert fake quantization or freeze its ranges, in the epochs set for them."""
        epoch = runner.epoch + 1
        if epoch >= self.start:
            self._insert(runner)
        if self._frozen(epoch):
            freeze_observers_(bare_model(runner.model))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Keep BatchNorm frozen: the loop's ``train()`` wakes it in each epoch."""
        if batch_idx == 0 and self._frozen(runner.epoch + 1):
            freeze_batch_norm_(bare_model(runner.model))

    def after_train(self, runner: Runner) -> None:
        """Convert a copy of the model, which becomes plain again."""
        from hpml_mm.quantization.from_runner import trained_model

        model = trained_model(runner)
        reference = copy.deepcopy(model)
        remove_fake_quant_(model)
        remove_fake_quant_(reference, on_grid=False)
        if self.reference is not None:
            load_fitting(reference, self.reference)
        self.quantize(runner, model, reference)

    def _frozen(self, epoch: int) -> bool:
        return self.freeze is not None and epoch >= self.freeze

    def _insert(self, runner: Runner) -> None:
        """Insert fake quantization where it is not yet."""
        model = bare_model(runner.model)
        inserted = insert_fake_quant_(model, self.settings.keep, self.percentile)
        if inserted:
            runner.logger.info(f'QATHook: {len(inserted)} layers round from now on')
            _share(runner, model)


def _share(runner: Runner, model: nn.Module) -> None:
    """Share fake quantization with averaged copies of the model."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            share_fake_quant_(hook.ema_model.module, model)
