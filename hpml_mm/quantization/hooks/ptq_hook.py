# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantizes the trained model when training ends."""

from mmengine.runner import Runner

from hpml_mm.registry import HOOKS

from .quantization_hook import QuantizationHook


@HOOKS.register_module()
class PTQHook(QuantizationHook):
    """Post-training quantization: calibrates, converts, evaluates and exports.

    It takes the weights as they are after the last step; with an EMAHook, the averaged
    ones. See :class:`QuantizationHook` for its arguments, files and errors::

        custom_hooks = [
            dict(type='hpml_mm.PTQHook', settings=dict(backend='onnxruntime'))
        ]
    """

    method = 'ptq'
    priority = 'LOW'

    def after_train(self, runner: Runner) -> None:
        """Quantize a copy of the model."""
        from hpml_mm.quantization.from_runner import trained_model

        self.quantize(runner, trained_model(runner))
