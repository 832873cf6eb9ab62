# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hpml_mm.engine.memory_format import use_channels_last_
from hpml_mm.registry import HOOKS


@HOOKS.register_module()
class SpeedHook(Hook):
    """Makes a model compute faster without changing what it computes.

    It acts before anything else does: before weights are initialised or loaded,
    which keeps the layout, and before hooks such as EMAHook copy the model. A
    DistributedDataParallel wrapper is older still: torch warns once, in the first
    step, that the strides have changed, and lays its buffers out anew.

    Args:
        channels_last: Store convolution weights channels-last, which is the layout
            that convolution libraries of GPUs and CPUs prefer.
    """

    priority = 'VERY_HIGH'

    def __init__(self, channels_last: bool = True) -> None:
        self.channels_last = channels_last

    def before_run(self, runner: Runner) -> None:
        """Convert the model of a training, validation or test run."""
        if self.channels_last:
            count = use_channels_last_(runner.model)
            runner.logger.info(f'SpeedHook: {count} convolution weights channels-last')
