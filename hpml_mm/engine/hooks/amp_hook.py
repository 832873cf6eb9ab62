# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mixed precision for any config."""

from collections.abc import Callable, Sequence
from functools import partial

from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner

from hpml_mm.compat import let_mmpose_read_bfloat16
from hpml_mm.engine.amp import (
    AmpOptimWrapper,
    EvalAutocast,
    Precision,
    cpu_has_bf16,
    resolve_precision,
)
from hpml_mm.engine.layer_precision.measured import measurable_precision, plan_of
from hpml_mm.engine.trackers import prepare_trackers
from hpml_mm.measure.layer_watch import LayerWatch
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model, model_device, single_wrappers

from .loop_hook import LoopHook
from .training_clock_hook import TrainingClockHook

# Steps in which each wrapper should have been entered; as a rule in the first.
_WATCHED_STEPS = 10


@HOOKS.register_module()
class AmpHook(LoopHook):
    """Turns the optimizer wrapper of any config into mixed precision.

    It works on the built wrapper, so accumulation, gradient clipping, parameter
    settings and schedulers stay as configured, and a checkpoint's loss scale is
    restored on resuming. A wrapper that is mixed precision already is left alone.

    :meth:`summary` says what ran, not what was asked for:

    - ``precision``: in what the convolutions and linear layers of the first step
      computed, which ``autocast(enabled=False)`` or a model that casts itself may
      change: ``'bf16'``, ``'fp16'``, ``'fp32'``, ``'tf32'``, or ``'mixed'`` if none of
      them did nine tenths of the work. Of compiled models, what their wrappers cast
      to. None where neither is known.
    - ``precision/val``: the same of the first batch of validation or test.
    - ``amp/fp32_layers``: convolutions and linear layers that ``'measured'`` keeps in
      fp32.
    - ``amp/contexts``: how often the training entered mixed precision, for each of
      several optimizers as ``amp/<name>.contexts``. A ``train_step`` of the model's own
      may never do so; that is a warning, and full precision.

    With loss scaling, ``train/amp/scale`` and ``train/amp/skipped_steps`` (since the
    start of this process) are logged. Reading them waits for the device, so it
    happens once per ``interval``. The first is not called ``loss_scale`` because
    MMEngine averages every scalar whose name contains ``loss``.

    Args:
        dtype: ``'bfloat16'``, ``'float16'``, or ``'auto'`` for the best that the
            device computes natively (bf16, else fp16).
        loss_scale: See :class:`hpml_mm.engine.amp.AmpOptimWrapper`.
        val: Precision of validation and test: ``'fp32'`` or ``'amp'``.
        interval: Iterations between two readings of the loss scale.
        layers: ``'all'`` to compute in 16 bits what autocast can, or ``'measured'`` to
            keep in fp32 what is faster so on this machine, for which it takes some
            steps first: see :func:`hpml_mm.engine.layer_precision.measured.plan_of`.

    Raises:
        ValueError: If ``val`` or ``layers`` is unknown; before the first step, if the
            device cannot do what is asked for, or the model's step cannot be measured.
    """

    loops = ('train', 'val', 'test')
    switched_on = ('mixed precision',)

    def __init__(
        self,
        dtype: str = 'auto',
        loss_scale: str | float | dict = 'dynamic',
        val: str = 'fp32',
        interval: int = 10,
        layers: str = 'all',
    ) -> None:
        if layers not in ('all', 'measured'):
            raise ValueError(f'AmpHook: layers is {layers!r}, use "all" or "measured"')
        if val not in ('fp32', 'amp'):
            raise ValueError(f'AmpHook: val is {val!r}, use "fp32" or "amp"')
        self.dtype = dtype
        self.loss_scale = loss_scale
        self.val = val
        self.interval = interval
        self.layers = layers
        self._to_measure: Precision | None = None
        self._fp32_layers: int | None = None
        self._wrappers: dict[str, MMEngineAmpOptimWrapper] = {}
        self._scaled: dict[str, MMEngineAmpOptimWrapper] = {}
        self._eval_autocast: EvalAutocast | None = None
        self._contexts: dict[str, int] = {}
        self._warned: set[str] = set()
        self._steps = 0
        self._layers: dict[str, LayerWatch] = {}
        self._watching: dict[str, Callable[[], None]] = {}

    def before_run(self, runner: Runner) -> None:
        """Convert optimizer wrapper and loops, which are built and have not run yet."""
        super().before_run(runner)
        let_mmpose_read_bfloat16()
        prepare_trackers(runner)  # a key of an OptimWrapperDict may be any text
        # In a test run the wrapper is still a config: nothing to train.
        if isinstance(runner.optim_wrapper, BaseOptimWrapper):
            self._convert(runner)
        if self.val == 'amp' and self._eval_autocast is None:
            model = bare_model(runner.model)
            precision = resolve_precision(self.dtype, model_device(model))
            self._eval_autocast = EvalAutocast(model, precision)

    def before_train(self, runner: Runner) -> None:
        """Begin to count contexts, and to watch the layers."""
        self._steps = 0
        self._fp32_layers = None
        if self.layers == 'measured':
            model = bare_model(runner.model)
            self._to_measure = measurable_precision(model, self._wrappers)
        self._contexts = dict.fromkeys(self._wrappers, 0)
        for name, wrapper in self._wrappers.items():
            self.patch(wrapper, 'optim_context', partial(self._count, name))
        self._watch(runner, 'train')

    def before_val(self, runner: Runner) -> None:
        """Refuse a loop that contradicts this hook."""
        self._check_loop(runner.val_loop, 'val_cfg')
        self._watch(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Refuse a loop that contradicts this hook."""
        self._check_loop(runner.test_loop, 'test_cfg')
        self._watch(runner, 'test')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """With the first batch, find the layers that stay in fp32."""
        if self._to_measure is None:
            return
        precision, self._to_measure = self._to_measure, None
        clocks = [h for h in runner.hooks if isinstance(h, TrainingClockHook)]
        for clock in clocks:
            clock.leave_training()
        model = bare_model(runner.model)
        plan = plan_of(runner, precision, data_batch)
        self._fp32_layers = plan.count(model)
        self.on_end(plan.apply(model, precision.device_type).remove)
        for clock in clocks:
            clock.return_to_training()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Log the loss scale at the edges of log windows; watch the first steps."""
        self._steps += 1
        if all(self._contexts.values()) or self._steps == _WATCHED_STEPS:
            self._end_watch('train')
        if self._steps == _WATCHED_STEPS and not any(self._contexts.values()):
            self._warn_unused(runner)
        if not self._scaled or not self.every_n_train_iters(runner, self.interval):
            return
        for prefix, wrapper in self._scaled.items():
            for name, value in _scaler_state(wrapper).items():
                if value is not None:
                    key = f'train/amp/{prefix}{name}'
                    runner.message_hub.update_scalar(key, value)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Stop to watch after the first batch."""
        self._end_watch('val')

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Stop to watch after the first batch."""
        self._end_watch('test')

    def after_train(self, runner: Runner) -> None:
        """Warn of optimizers that never entered mixed precision."""
        self._end_watch('train')
        if self._steps:
            self._warn_unused(runner)

    def summary(self) -> dict[str, str | float | None]:
        """Precision that ran, contexts entered, final loss scale, skipped steps."""
        result: dict[str, str | float | None] = {
            'precision': self._precision_of('train') or self._entered_precision(),
            'precision/val': self._precision_of('val') or self._precision_of('test'),
        }
        if self._fp32_layers is not None:
            result['amp/fp32_layers'] = self._fp32_layers
        for prefix, count in self._contexts.items():
            result[f'amp/{prefix}contexts'] = count
        for prefix, wrapper in self._scaled.items():
            for name, value in _scaler_state(wrapper).items():
                result[f'amp/{prefix}{name}'] = value
        return result

    def _watch(self, runner: Runner, mode: str) -> None:
        """Watch the layers of the steps of a loop, until :meth:`_end_watch`."""
        if mode in self._layers and mode != 'train':
            return  # one evaluation is as good as another
        self._layers[mode] = watch = LayerWatch(bare_model(runner.model))
        step = f'{mode}_step'
        self._watching[mode] = self.patch(runner.model, step, watch.start, watch.stop)

    def _end_watch(self, mode: str) -> None:
        if mode in self._watching:
            self._watching.pop(mode)()

    def _precision_of(self, mode: str) -> str | None:
        watch = self._layers.get(mode)
        return None if watch is None else watch.report().precision

    def _entered_precision(self) -> str | None:
        """Dtypes of the wrappers that were entered, where no layer could be watched."""
        names = {
            _precision_name(self._wrappers[name])
            for name, count in self._contexts.items()
            if count
        }
        return ', '.join(sorted(names)) or None

    def _warn_unused(self, runner: Runner) -> None:
        """Warn of wrappers that were not entered so far, of each once."""
        model = type(bare_model(runner.model)).__name__
        for name, count in self._contexts.items():
            if count or name in self._warned:
                continue
            self._warned.add(name)
            place = f'optim_wrapper.{name}'.removesuffix('.')
            runner.logger.warning(
                f'AmpHook: {model}.train_step has not entered {place}.optim_context in '
                f'{self._steps} steps, so mixed precision is not used there; layers '
                f'ran in {self._precision_of("train") or "an unknown precision"}. Call '
                f'the model within "with {place}.optim_context(self):", or remove '
                'AmpHook'
            )

    def _convert(self, runner: Runner) -> None:
        wrappers = single_wrappers(runner.optim_wrapper)
        for name, wrapper in wrappers.items():
            place = f'optim_wrapper.{name}' if name else 'optim_wrapper'
            if isinstance(wrapper, MMEngineAmpOptimWrapper):
                runner.logger.info(
                    f'AmpHook leaves {place} as configured: {type(wrapper).__name__} '
                    f'is mixed precision already ({_precision_name(wrapper)})'
                )
            else:
                AmpOptimWrapper.convert_(wrapper, self.dtype, self.loss_scale)
                note = _cpu_note(wrapper)
                runner.logger.info(f'AmpHook: {place} in {wrapper.precision}{note}')
        self._wrappers = {f'{n}.' if n else '': w for n, w in wrappers.items()}
        self._scaled = {
            name: wrapper
            for name, wrapper in self._wrappers.items()
            if wrapper.loss_scaler.is_enabled()
        }

    def _count(self, name: str) -> None:
        self._contexts[name] += 1

    def _check_loop(self, loop: object, place: str) -> None:
        if self.val == 'fp32' and getattr(loop, 'fp16', False):
            raise ValueError(
                f'{place}.fp16 is True, but AmpHook(val="fp32"): set val="amp" or '
                f'remove fp16 from {place}'
            )


def _scaler_state(wrapper: MMEngineAmpOptimWrapper) -> dict[str, float | None]:
    counts = hasattr(wrapper.loss_scaler, 'skipped_steps')
    return {
        'scale': wrapper.loss_scaler.get_scale(),
        'skipped_steps': wrapper.loss_scaler.skipped_steps() if counts else None,
    }


def _precision_name(wrapper: MMEngineAmpOptimWrapper) -> str:
    if isinstance(wrapper, AmpOptimWrapper):
        return wrapper.precision.name
    return str(wrapper.cast_dtype or 'default dtype').removeprefix('torch.')


def _cpu_note(wrapper: AmpOptimWrapper) -> str:
    if wrapper.precision.device_type != 'cpu' or cpu_has_bf16() is not False:
        return ''
    return '; this CPU has no bf16 instructions (AVX512-BF16, AMX): it may be slower'
