# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Speed settings for the model and optimizer of any config."""

from collections.abc import Callable, Iterator
from typing import Any

from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner
from torch.optim import Optimizer

from hpml_mm.engine.speed import (
    CHOICES,
    check_arguments,
    check_compiler,
    choose_implementation,
    compile_parts_,
    compiled_graphs,
    sparse_parameters,
    use_channels_last_,
    use_fused_swish_,
    use_implementation_,
)
from hpml_mm.engine.wide_batch_norm import widen_batch_norms_
from hpml_mm.measure.layer_watch import LayerWatch
from hpml_mm.measure.optimizer_watch import OptimizerWatch
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model, model_device, single_wrappers

from .loop_hook import LoopHook


@HOOKS.register_module()
class SpeedHook(LoopHook):
    """Makes a model compute faster without changing what it computes.

    It acts before anything else does: before weights are initialised or loaded,
    which keeps the layout, and before hooks such as EMAHook copy the model. A
    DistributedDataParallel wrapper is older still: torch warns once, in the first
    step, that the strides have changed, and lays its buffers out anew.

    :meth:`summary` says what the first step did, and a warning where that is not what
    was asked for:

    - ``channels_last(%)``: share of 2-D convolutions that computed channels-last;
      ``channels_last/relaid``: number of those whose input had to be copied into this
      layout first. None without such a layer, and for compiled models.
    - ``compile/graphs`` and ``compile/graph_breaks``: numbers of the graphs that
      PyTorch made in the training, and of the places where it went on without one;
      None if nothing was compiled.
    - ``optimizer/implementation``: ``'fused'``, ``'foreach'`` or ``'for-loop'``; None
      if the optimizer was left alone.

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
        fused_swish: Compute MMCV's Swish by ``nn.SiLU`` (see
            :func:`hpml_mm.engine.speed.use_fused_swish_`), equal up to rounding.

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
        fused_swish: bool = True,
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
        self.fused_swish = fused_swish
        self._reset()

    def _reset(self) -> None:
        self._layers: LayerWatch | None = None
        self._optimizers: list[tuple[Optimizer, str | None, OptimizerWatch]] = []
        self._watching: list[Callable[[], None]] = []
        self._graphs_before: tuple[int, int] | None = None
        self.switched_on: list[str] = []

    def before_run(self, runner: Runner) -> None:
        """Convert the model of a training, validation or test run."""
        super().before_run(runner)
        self._reset()
        if self.channels_last:
            count = use_channels_last_(runner.model)
            runner.logger.info(f'SpeedHook: {count} convolutions channels-last')
            self.switched_on.append('channels-last')
        if self.fused_swish and (count := use_fused_swish_(runner.model)):
            runner.logger.info(f'SpeedHook: {count} Swish layers by one kernel')
            self.switched_on.append('fused Swish')
        if not isinstance(runner.optim_wrapper, BaseOptimWrapper):
            return  # a test run, where all the rest would have no effect
        wide = self.wide_batch_norm and self.channels_last
        if wide and model_device(runner.model).type == 'cpu':
            count = widen_batch_norms_(runner.model)
            runner.logger.info(f'SpeedHook: {count} BatchNorm layers by wide pixels')
            self.switched_on.append('wide BatchNorm')
        self._compile(runner)
        for optimizer, name in self._choices(runner):
            chosen = name or "PyTorch's choice"
            runner.logger.info(f'SpeedHook: {type(optimizer).__name__} is {chosen}')
            self.switched_on += [f'{name} {type(optimizer).__name__}'] if name else []

    def before_train(self, runner: Runner) -> None:
        """Set the optimizer's implementation, which resuming may have changed."""
        for optimizer, name in self._choices(runner):
            if name is not None:
                use_implementation_(optimizer, name)
            watch = OptimizerWatch()
            self._optimizers.append((optimizer, name, watch))
            self._watching.append(
                self.patch(optimizer, 'step', watch.start, watch.stop)
            )
        self._layers = layers = LayerWatch(bare_model(runner.model))
        self._watching.append(
            self.patch(runner.model, 'train_step', layers.start, layers.stop)
        )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at what the first step did."""
        if not self._watching:
            return
        waits = [watch.implementation is None for _, _, watch in self._optimizers]
        if all(waits) and waits:
            return  # gradients are accumulated over some steps first
        while self._watching:
            self._watching.pop()()
        for line in self._disappointments():
            runner.logger.warning(f'SpeedHook: {line}')

    def summary(self) -> dict[str, Any]:
        """Layout, graphs and implementation of the first step; None if not known."""
        layers = None if self._layers is None else self._layers.report()
        share = relaid = graphs = breaks = None
        if layers is not None and layers.convolutions:
            share = 100 * layers.channels_last / layers.convolutions
            relaid = layers.relaid
        if self._graphs_before is not None:
            graphs, breaks = self._new_graphs(self._graphs_before)
        names = {watch.implementation for _, _, watch in self._optimizers} - {None}
        return {
            'channels_last(%)': share,
            'channels_last/relaid': relaid,
            'compile/graphs': graphs,
            'compile/graph_breaks': breaks,
            'optimizer/implementation': ', '.join(sorted(map(str, names))) or None,
        }

    def _disappointments(self) -> Iterator[str]:
        """Differences between what was asked for and what the first step did."""
        assert self._layers is not None, 'a training has been watched'
        report = self._layers.report()
        if self.channels_last and report.is_channels_last is False:
            yield (
                f'{report.channels_last} of {report.convolutions} convolutions compute '
                'channels-last; the model undoes the layout, try channels_last=False'
            )
        before = self._graphs_before
        if before is not None and self._new_graphs(before)[0] == 0:
            yield (
                'torch.compile made no graph in the first step, which ran eagerly '
                'then; TORCH_LOGS=graph_breaks tells why'
            )
        for optimizer, name, watch in self._optimizers:
            if name is not None and watch.implementation not in (None, name):
                yield (
                    f'{type(optimizer).__name__} was to be {name}, but PyTorch runs '
                    f'its {watch.implementation} implementation'
                )

    @staticmethod
    def _new_graphs(before: tuple[int, int]) -> tuple[int, int]:
        graphs, breaks = compiled_graphs()
        return max(0, graphs - before[0]), max(0, breaks - before[1])

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
        self._graphs_before = compiled_graphs()
        parts = ', '.join(compile_parts_(model, arguments))
        runner.logger.info(f'SpeedHook: compiled for training: {parts}')
        self.switched_on.append('compiled')
