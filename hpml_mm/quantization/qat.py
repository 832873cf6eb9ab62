# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Quantization-aware training, for any backend.

Each convolution and linear layer computes with a rounded weight and a rounded input;
the gradient passes through as if there were no rounding (straight-through, Jacob et
al., https://arxiv.org/abs/1712.05877). Nothing is traced or exported: a layer becomes
a subclass of what it was. Parameters keep their names and their objects, so optimizers,
averaged copies and checkpoints go on as before; a checkpoint only has two numbers more
for each layer, the range of its input.

**Why no backend is involved.** Weights are rounded for each output channel, about
zero. BatchNorm multiplies each output channel by a number of its own, so that folding
it into the weight scales the grid and leaves the integers: rounding and folding can
change places. Converting the result is therefore what post-training quantization does
with any network: fold, then quantize with ranges for each channel.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .rounding import ACTIVATION_MAX, channel_axis, round_weight, weighted_layers

#: Of the config's learning rate: the weights have been found, they only settle.
LR_SHARE = 0.01
#: Epochs of a fine-tuning.
EPOCHS = 3

# The class of a layer, which is a module, comes after it.
if TYPE_CHECKING:
    _Layer = nn.Module
else:
    _Layer = object

#: Weight of the newest batch in an input's range, as PyTorch's observers have it.
AVERAGING = 0.01
# Values of a batch that its percentiles are estimated from: sorting all takes long.
_MOST_VALUES = 65_536
_SMALLEST_SCALE = 1e-12


class InputFakeQuant(nn.Module):
    """Fake quantization of an activation to 256 levels over its observed range.

    The range is a moving average of each batch's, and holds zero, which padding needs.
    It follows while the module trains and ``observing`` is true. Before the first
    batch there is no range: then an evaluation leaves the tensor as it is.

    Args:
        percentile: Where the range of a batch ends above; below, it begins at 100
            minus that. 100 takes the smallest and the largest value. What lies beyond
            is cut to the range.

    Raises:
        ValueError: If it is not above 50 and at most 100.
    """

    low: Tensor
    high: Tensor

    def __init__(self, percentile: float = 100.0) -> None:
        super().__init__()
        if not 50 < percentile <= 100:
            raise ValueError(
                f'fake quantization: percentile is {percentile}; use a number above 50 '
                'and at most 100, such as 99.99'
            )
        self.percentile = percentile
        self.observing = True
        self.register_buffer('low', torch.zeros(()))
        self.register_buffer('high', torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Round a tensor of any shape; gradients outside the range are zero."""
        if self.training and self.observing:
            self._observe(x.detach())
        elif self.high <= self.low:
            return x
        scale = ((self.high - self.low) / ACTIVATION_MAX).clamp(min=_SMALLEST_SCALE)
        zero = (-self.low / scale).round().clamp(0, ACTIVATION_MAX).to(torch.int32)
        rounded = torch.fake_quantize_per_tensor_affine(
            x.float(), scale, zero, 0, ACTIVATION_MAX
        )
        return rounded.to(x.dtype)

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        low, high = (value.clone() for value in self._range(x.float()))
        low, high = low.clamp(max=0), high.clamp(min=0)
        # The first range is that of the first batch. `where` needs no synchronisation.
        first = self.high <= self.low
        self.low.copy_(torch.where(first, low, self.low.lerp(low, AVERAGING)))
        self.high.copy_(torch.where(first, high, self.high.lerp(high, AVERAGING)))

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.percentile == 100:
            return torch.aminmax(x)
        values = x.flatten()[:: -(-x.numel() // _MOST_VALUES)]
        outside = 1 - self.percentile / 100
        ends = torch.tensor([outside, 1 - outside], device=x.device)
        low, high = torch.quantile(values, ends)
        return low, high


class FakeQuantLayer(_Layer):
    """Mixin of layers that round their weight and input."""

    input_fake_quant: InputFakeQuant

    @property
    def weight(self) -> Tensor:
        """The rounded weight; the parameter itself is in ``parameters()``."""
        return round_weight(_parameter(self), channel_axis(self))

    def forward(self, input: Tensor, *args: object) -> Tensor:
        """Compute as the layer does, of the rounded input."""
        return super().forward(self.input_fake_quant(input), *args)


def fake_quant_layers(network: nn.Module) -> Iterator[tuple[str, FakeQuantLayer]]:
    """Iterate over names and layers with fake quantization."""
    for name, module in network.named_modules():
        if isinstance(module, FakeQuantLayer):
            yield name, module


def insert_fake_quant_(
    network: nn.Module, keep: Sequence[str] = (), percentile: float = 100.0
) -> list[str]:
    """Insert fake quantization into all convolutions and linear layers, in place.

    Args:
        network: The network, or the model that holds it.
        keep: Names of layers that stay as they are.
        percentile: See :class:`InputFakeQuant`.

    Returns:
        Names of the layers that round now; empty where all did before.

    Raises:
        ValueError: If there is no such layer, or none of a name in ``keep``.
    """
    layers = weighted_layers(network)
    if not layers:
        raise ValueError(
            f'fake quantization: {type(network).__name__} has no convolution and no '
            'linear layer'
        )
    if unknown := set(keep) - layers.keys():
        raise ValueError(
            f'fake quantization: no layer is called {sorted(unknown)[0]!r}; there are '
            f'{", ".join(layers)}'
        )
    inserted = []
    for name, layer in layers.items():
        if name in keep or isinstance(layer, FakeQuantLayer):
            continue
        quantizer = InputFakeQuant(percentile).train(layer.training)
        layer.input_fake_quant = quantizer.to(_parameter(layer).device)
        layer.__class__ = _with_fake_quant(cast(Hashable, type(layer)))
        inserted.append(name)
    return inserted


def share_fake_quant_(copied: nn.Module, network: nn.Module) -> None:
    """Insert fake quantization into a copy of a network, with the network's own ranges.

    Meant for an average of a network's weights: ranges are averages already, and must
    not be averaged or exchanged once more.

    Args:
        copied: A copy from before or after the insertion, changed in place.
        network: The network with fake quantization.
    """
    modules = dict(copied.named_modules())
    for name, layer in fake_quant_layers(network):
        twin = modules[name]
        twin.input_fake_quant = layer.input_fake_quant
        if not isinstance(twin, FakeQuantLayer):
            twin.__class__ = _with_fake_quant(cast(Hashable, type(twin)))


def remove_fake_quant_(network: nn.Module, on_grid: bool = True) -> None:
    """Remove fake quantization, in place.

    Args:
        network: The network with fake quantization.
        on_grid: Leave each weight rounded. Rounding it again changes nothing, so that
            an INT8 backend with the same grid holds the very weights trained with.
    """
    for _, layer in list(fake_quant_layers(network)):
        if on_grid:
            with torch.no_grad():
                _parameter(layer).copy_(layer.weight)
        layer.__class__ = type(layer).__bases__[1]
        del layer.input_fake_quant


def freeze_observers_(network: nn.Module) -> None:
    """Freeze the ranges of all inputs."""
    for _, layer in fake_quant_layers(network):
        layer.input_fake_quant.observing = False


def freeze_batch_norm_(network: nn.Module) -> None:
    """Have BatchNorm use its running statistics, and leave them, until ``train()``.

    Its weight and bias go on learning.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def _parameter(layer: nn.Module) -> nn.Parameter:
    """The weight that is trained, as it was before any rounding."""
    weight = layer._parameters['weight']
    assert weight is not None  # of a layer with weights
    return weight


@cache
def _with_fake_quant(kind: Any) -> Any:
    """Subclass of a layer's class with fake quantization, made once for each class."""
    return type(f'FakeQuant{kind.__name__}', (FakeQuantLayer, kind), {})


def fine_tune_(
    cfg: Config,
    checkpoint: str,
    settings: Mapping[str, Any],
    out: str,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    freeze: int | None = None,
) -> None:
    """Make a training config one that fine-tunes a checkpoint for INT8, in place.

    The learning rate falls along a cosine from its start to 0. Everything else of the
    recipe stays, its averaging and its augmentation too; only ``torch.compile`` is
    left out, which would not see layers change.

    Args:
        cfg: A checked training config that counts epochs.
        checkpoint: Checkpoint of the FP32 model, which INT8 is compared with as well.
        settings: Settings of the :class:`~hpml_mm.quantization.hooks.QATHook`.
        out: Folder of the INT8 model.
        epochs: To train; :data:`EPOCHS` where None.
        lr: Learning rate; a hundredth of the config's where None.
        freeze: See the hook; the second half where None, and never in 1 epoch.

    Raises:
        ValueError: If the config counts iterations, or has no learning rate of its own
            and ``lr`` is None.
    """
    epochs = EPOCHS if epochs is None else epochs
    if not cfg.train_cfg.get('by_epoch', True) or 'max_epochs' not in cfg.train_cfg:
        raise ValueError(
            'quantization-aware training counts epochs: the config needs '
            'train_cfg.by_epoch=True and max_epochs'
        )
    if epochs < 1:
        raise ValueError(f'epochs is {epochs}: train for 1 or more')
    optimizer = cfg.optim_wrapper.get('optimizer') or ConfigDict()
    if lr is None and 'lr' not in optimizer:
        raise ValueError("the config's optimizer has no lr: give one (--lr)")
    optimizer.lr = LR_SHARE * optimizer.lr if lr is None else lr
    cosine = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
    cfg.param_scheduler = [ConfigDict(cosine, T_max=epochs)]
    cfg.train_cfg = ConfigDict(by_epoch=True, max_epochs=epochs, val_interval=1)
    cfg.load_from, cfg.resume = checkpoint, False
    hook = ConfigDict(
        type='hpml_mm.QATHook',
        freeze=epochs // 2 + 1 if freeze is None and epochs > 1 else freeze,
        reference=checkpoint,
        settings=dict(settings),
        out=out,
    )
    others = [ConfigDict(other) for other in cfg.get('custom_hooks') or []]
    for other in others:
        if other.get('type') in ('hpml_mm.SpeedHook', 'SpeedHook'):
            other['compile'] = False
    cfg.custom_hooks = [*others, hook]
