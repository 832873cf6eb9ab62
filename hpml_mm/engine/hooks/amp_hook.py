# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mixed precision for any config."""

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner

from hpml_mm.compat import let_mmpose_read_bfloat16
from hpml_mm.engine.amp import (
    AmpOptimWrapper,
    EvalAutocast,
    cpu_has_bf16,
    resolve_precision,
)
from hpml_mm.registry import HOOKS
from hpml_mm.utils.model import bare_model, model_device, single_wrappers


@HOOKS.register_module()
class AmpHook(Hook):
    """Turns the optimizer wrapper of any config into mixed precision.

    It works on the built wrapper, so accumulation, gradient clipping, parameter
    settings and schedulers stay as configured, and a checkpoint's loss scale is
    restored on resuming. A wrapper that is mixed precision already is left alone.

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

    Raises:
        ValueError: If ``val`` is unknown; before the first step, if the device
            cannot do what is asked for.
    """

    def __init__(
        self,
        dtype: str = 'auto',
        loss_scale: str | float | dict = 'dynamic',
        val: str = 'fp32',
        interval: int = 10,
    ) -> None:
        if val not in ('fp32', 'amp'):
            raise ValueError(f'AmpHook: val is {val!r}, use "fp32" or "amp"')
        self.dtype = dtype
        self.loss_scale = loss_scale
        self.val = val
        self.interval = interval
        self._wrappers: dict[str, MMEngineAmpOptimWrapper] = {}
        self._scaled: dict[str, MMEngineAmpOptimWrapper] = {}
        self._eval_autocast: EvalAutocast | None = None

    def before_run(self, runner: Runner) -> None:
        """Convert optimizer wrapper and loops, which are built and have not run yet."""
        let_mmpose_read_bfloat16()
        # In a test run the wrapper is still a config: nothing to train.
        if isinstance(runner.optim_wrapper, BaseOptimWrapper):
            self._convert(runner)
        if self.val == 'amp' and self._eval_autocast is None:
            model = bare_model(runner.model)
            precision = resolve_precision(self.dtype, model_device(model))
            self._eval_autocast = EvalAutocast(model, precision)

    def before_val(self, runner: Runner) -> None:
        """Refuse a loop that contradicts this hook."""
        self._check_loop(runner.val_loop, 'val_cfg')

    def before_test(self, runner: Runner) -> None:
        """Refuse a loop that contradicts this hook."""
        self._check_loop(runner.test_loop, 'test_cfg')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Log the loss scale at the edges of log windows."""
        if not self._scaled or not self.every_n_train_iters(runner, self.interval):
            return
        for prefix, wrapper in self._scaled.items():
            for name, value in _scaler_state(wrapper).items():
                if value is not None:
                    key = f'train/amp/{prefix}{name}'
                    runner.message_hub.update_scalar(key, value)

    def summary(self) -> dict[str, str | float | None]:
        """Precision of training and validation, final loss scale, skipped steps."""
        names = {_precision_name(wrapper) for wrapper in self._wrappers.values()}
        result: dict[str, str | float | None] = {
            'precision': ', '.join(sorted(names)) or None,
            'precision/val': self.val,
        }
        for prefix, wrapper in self._scaled.items():
            for name, value in _scaler_state(wrapper).items():
                result[f'amp/{prefix}{name}'] = value
        return result

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
