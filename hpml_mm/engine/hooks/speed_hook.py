# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed settings for the model and optimizer of any config."""

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner
from torch.optim import Optimizer

from hpml_mm.engine.speed import (
    CHOICES,
    check_arguments,
    check_compiler,
    choose_implementation,
    compile_parts_,
    sparse_parameters,
    use_channels_last_,
    use_implementation_,
)
from hpml_mm.engine.wide_batch_norm import widen_batch_norms_
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model, model_device, single_wrappers


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
        compile: Have ``torch.compile`` make the training steps of backbone, neck and
            head: True or False, ``'auto'`` for GPUs only, or a dict of its arguments
            (see :func:`hpml_mm.engine.speed.compile_parts_`).
        optimizer: ``'fused'`` or ``'foreach'`` to have the optimizer use that one of
            PyTorch's implementations, ``'auto'`` for what pays (see
            :func:`hpml_mm.engine.speed.choose_implementation`), None to leave it.
        wide_batch_norm: On a CPU, have channels-last BatchNorm over few channels take
            several pixels at once (see :mod:`hpml_mm.engine.wide_batch_norm`). It
            pays for very small networks, and replaces the class of these layers.

    Raises:
        ValueError: If an argument is unknown; before the first step, if the optimizer
            or the machine cannot do what is asked for.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        channels_last: bool = True,
        compile: bool | str | dict = False,
        optimizer: str | None = None,
        wide_batch_norm: bool = False,
    ) -> None:
        if not isinstance(compile, bool | dict) and compile != 'auto':
            raise ValueError(
                f'SpeedHook: compile is {compile!r}; use True, False, "auto", or a '
                'dict of arguments of torch.compile'
            )
        if isinstance(compile, dict):
            check_arguments(compile)
        if optimizer is not None and optimizer not in CHOICES:
            raise ValueError(
                f'SpeedHook: optimizer is {optimizer!r}; use one of '
                f'{", ".join(CHOICES)}, or None'
            )
        self.channels_last = channels_last
        self.compile = compile
        self.optimizer = optimizer
        self.wide_batch_norm = wide_batch_norm

    def before_run(self, runner: Runner) -> None:
        """Convert the model of a training, validation or test run."""
        if self.channels_last:
            count = use_channels_last_(runner.model)
            runner.logger.info(f'SpeedHook: {count} convolution weights channels-last')
        if not isinstance(runner.optim_wrapper, BaseOptimWrapper):
            return  # a test run, where all the rest would have no effect
        wide = self.wide_batch_norm and self.channels_last
        if wide and model_device(runner.model).type == 'cpu':
            count = widen_batch_norms_(runner.model)
            runner.logger.info(f'SpeedHook: {count} BatchNorm layers by wide pixels')
        self._compile(runner)
        for optimizer, name in self._choices(runner):
            chosen = name or "PyTorch's choice"
            runner.logger.info(f'SpeedHook: {type(optimizer).__name__} is {chosen}')

    def before_train(self, runner: Runner) -> None:
        """Set the optimizer's implementation, which resuming may have changed."""
        for optimizer, name in self._choices(runner):
            if name is not None:
                use_implementation_(optimizer, name)

    def _choices(self, runner: Runner) -> Iterator[tuple[Optimizer, str | None]]:
        """Each optimizer, and what it is to use."""
        if self.optimizer is None:
            return
        sparse = sparse_parameters(runner.model)
        for wrapper in single_wrappers(runner.optim_wrapper).values():
            chosen = choose_implementation(wrapper.optimizer, self.optimizer, sparse)
            yield wrapper.optimizer, chosen

    def _compile(self, runner: Runner) -> None:
        model = bare_model(runner.model)
        device = model_device(model)
        if self.compile is False or self.compile == 'auto' and device.type != 'cuda':
            return
        arguments = self.compile if isinstance(self.compile, dict) else {}
        try:
            check_compiler(device, arguments.get('backend', 'inductor'))
        except ValueError as error:
            if self.compile != 'auto':
                raise
            runner.logger.warning(f'SpeedHook: training is not compiled. {error}')
            return
        parts = ', '.join(compile_parts_(model, arguments))
        runner.logger.info(f'SpeedHook: compiled for training: {parts}')
