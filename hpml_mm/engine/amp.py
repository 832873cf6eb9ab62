# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mixed precision on a GPU and on a CPU."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch import nn

from hpml_mm.registry import OPTIM_WRAPPERS


@dataclass(frozen=True)
class Precision:
    """Precision that a device computes in under autocast.

    Args:
        device_type: Type of the device, such as ``'cuda'``.
        dtype: Type of matrix products and convolutions.
        name: Short name for logs and summaries.
        loss_scaling: True if gradients underflow without a scaled loss.
    """

    device_type: str
    dtype: torch.dtype
    name: str
    loss_scaling: bool

    def autocast(self) -> torch.autocast:
        """Context in which a model runs in this precision."""
        return torch.autocast(self.device_type, self.dtype)

    def __str__(self) -> str:
        scaling = 'with' if self.loss_scaling else 'without'
        return f'{self.name} on {self.device_type}, {scaling} loss scaling'


# For each device, the preferred precision first: bf16 has fp32's range, so it
# needs no loss scaling.
PRECISIONS = (
    Precision('cpu', torch.bfloat16, 'bf16', loss_scaling=False),
    Precision('cuda', torch.bfloat16, 'bf16', loss_scaling=False),
    Precision('cuda', torch.float16, 'fp16', loss_scaling=True),
)


def resolve_precision(
    dtype: str | torch.dtype = 'auto', device: str | torch.device = 'cpu'
) -> Precision:
    """Choose the mixed precision of a device.

    Args:
        dtype: ``'bfloat16'``, ``'float16'``, or ``'auto'`` for the best that the
            device computes natively.
        device: Device of the model.

    Raises:
        ValueError: If the dtype is unknown, or the device cannot do it.
    """
    device = torch.device(device)
    wanted = str(dtype).removeprefix('torch.')
    if wanted not in ('auto', 'bfloat16', 'float16'):
        raise ValueError(
            f'unknown mixed precision dtype {dtype!r}: use "auto", "bfloat16" or '
            '"float16"; for full precision remove AmpHook or AmpOptimWrapper'
        )
    able = {
        str(precision.dtype).removeprefix('torch.'): precision
        for precision in PRECISIONS
        if precision.device_type == device.type and _computes_natively(precision)
    }
    if not able:
        raise ValueError(
            f'no mixed precision on the device "{device}": remove AmpHook or '
            'AmpOptimWrapper to train in full precision'
        )
    if wanted == 'auto':
        return next(iter(able.values()))
    if wanted not in able:
        raise ValueError(
            f'mixed precision dtype "{wanted}" does not work on the device '
            f'"{device}": use "auto" or "{next(iter(able))}"'
        )
    return able[wanted]


def _computes_natively(precision: Precision) -> bool:
    if (precision.device_type, precision.dtype) == ('cuda', torch.bfloat16):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return True


def cpu_has_bf16() -> bool | None:
    """Return whether this CPU has bf16 instructions; None where torch cannot tell.

    Autocast works without them, but converts to fp32 and back.
    """
    if not hasattr(torch.cpu, 'get_capabilities'):
        return None
    features = torch.cpu.get_capabilities()
    names = ('avx512_bf16', 'amx_bf16', 'bf16')  # the last one is ARM's
    return any(features.get(name, False) for name in names)


class CountingGradScaler(torch.amp.GradScaler):
    """Loss scaler that counts the steps it skipped.

    The count stays on the device, so that counting never waits for it.
    """

    _skipped: torch.Tensor | None = None

    def step(self, optimizer: torch.optim.Optimizer, *args, **kwargs):
        """Step unless a gradient is not finite, and count it if so."""
        result = super().step(optimizer, *args, **kwargs)
        if self.is_enabled():
            found = self._found_inf_per_device(optimizer).values()
            scale = self._get_scale_async()
            assert scale is not None, 'a scaler that has stepped has a scale'
            home = scale.device
            skipped = sum(flag.to(home, non_blocking=True) for flag in found) > 0
            self._skipped = skipped + (0 if self._skipped is None else self._skipped)
        return result

    def skipped_steps(self) -> int:
        """Number of skipped steps since the start; waits for the device."""
        return 0 if self._skipped is None else int(self._skipped.item())


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """MMEngine's mixed-precision wrapper, on a CPU too and without scaling bf16.

    On several ranks the gradients are averaged before they are checked, so every
    rank skips the same steps.

    Args:
        optimizer: Optimizer of parameters that are on their device already.
        dtype: See :func:`resolve_precision`.
        loss_scale: ``'dynamic'``, a fixed positive scale, or a dict of arguments of
            ``torch.amp.GradScaler``. Without effect on bf16.
        accumulative_counts: Number of iterations per step of the optimizer.
        clip_grad: See MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: If the device cannot compute in ``dtype``, or ``loss_scale`` is
            none of the above.
    """

    _global_step = -1

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        dtype: str | torch.dtype = 'auto',
        loss_scale: str | float | dict = 'dynamic',
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
    ) -> None:
        # MMEngine's own constructor refuses a CPU: go past it, to its base.
        OptimWrapper.__init__(self, optimizer, accumulative_counts, clip_grad)
        self._set_precision(dtype, loss_scale)

    @classmethod
    def convert_(
        cls,
        wrapper: OptimWrapper,
        dtype: str | torch.dtype = 'auto',
        loss_scale: str | float | dict = 'dynamic',
    ) -> None:
        """Turn a plain ``OptimWrapper`` into this class, in place.

        In place because parameter schedulers and other hooks hold the wrapper.
        Accumulation, gradient clipping and parameter settings stay as they are.

        Raises:
            ValueError: As the constructor, or if the wrapper is of another class,
                whose own behaviour would be lost.
        """
        if type(wrapper) is not OptimWrapper:
            raise ValueError(
                f'cannot turn the optimizer wrapper {type(wrapper).__name__} into '
                'mixed precision: use type="OptimWrapper" in optim_wrapper, or '
                'remove AmpHook'
            )
        wrapper.__class__ = cls
        # A scheduler has shadowed `step` with a counting copy of the plain one.
        wrapper.__dict__.pop('step', None)
        wrapper._set_precision(dtype, loss_scale)

    def _set_precision(
        self, dtype: str | torch.dtype, loss_scale: str | float | dict
    ) -> None:
        scaler_args = _scaler_args(loss_scale)
        device = _device_of(self.optimizer)
        self.precision = resolve_precision(dtype, device)
        self.cast_dtype = self.precision.dtype
        self.loss_scaler = CountingGradScaler(
            device.type, enabled=self.precision.loss_scaling, **scaler_args
        )
        self._scale_update_param = None
        if not isinstance(loss_scale, str | dict):
            self._scale_update_param = float(loss_scale)

    def step(self, **kwargs) -> None:
        """Update the parameters; arguments are those of the optimizer's ``step``."""
        self._global_step += 1
        super().step(**kwargs)

    # MMEngine's schedulers shadow `step` to count its calls unless it says, by this
    # attribute, that it counts them itself. A shadow would undo `convert_`.
    vars(step)['_with_counter'] = True

    def state_dict(self) -> dict:
        """State of the optimizer, and of the loss scaler where there is one."""
        state = super().state_dict()
        if not state['loss_scaler']:
            # A live scaler refuses to load an empty state.
            del state['loss_scaler']
        return state

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run ``model`` in mixed precision; hold back syncs while accumulating."""
        # MMEngine's own context asks for the machine's device, not the model's.
        with OptimWrapper.optim_context(self, model), self.precision.autocast():
            yield


def _device_of(optimizer: torch.optim.Optimizer) -> torch.device:
    """Device of the first parameter; autocast has one type for all of them."""
    for group in optimizer.param_groups:
        for parameter in group['params']:
            return parameter.device
    raise ValueError(
        f'{type(optimizer).__name__} has no parameters whose device could tell the '
        'mixed precision: remove AmpHook or AmpOptimWrapper'
    )


def _scaler_args(loss_scale: str | float | dict) -> dict:
    if loss_scale == 'dynamic':
        return {}
    if isinstance(loss_scale, dict):
        return loss_scale
    if not isinstance(loss_scale, bool | str | None) and loss_scale > 0:
        return dict(init_scale=float(loss_scale))
    raise ValueError(
        f'loss_scale is {loss_scale!r}: use "dynamic", a positive number, or a dict of '
        'arguments of torch.amp.GradScaler'
    )


class EvalAutocast:
    """Patch that runs a model's validation and test passes in mixed precision.

    MMEngine's loops enter ``autocast(enabled=False)`` around each validation
    iteration, which would cancel any context entered from outside. So this one is
    entered by forward hooks, closest to the model; errors leave it, too.

    Args:
        model: The model itself, not a distributed wrapper of it.
        precision: Precision to run in.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self._precision = precision
        self._entered: torch.autocast | None = None
        self._handles = (
            model.register_forward_pre_hook(self._enter),
            model.register_forward_hook(self._leave, always_call=True),
        )

    def remove(self) -> None:
        """Restore the model's own precision."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, module: nn.Module, args: tuple) -> None:
        if not module.training:
            self._entered = self._precision.autocast()
            self._entered.__enter__()

    def _leave(self, module: nn.Module, args: tuple, output: object) -> None:
        if self._entered is not None:
            self._entered.__exit__(None, None, None)
            self._entered = None
