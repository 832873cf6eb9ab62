# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data preprocessor of grey faces for models with one or three input channels."""

from typing import Any

import torch
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor

from hpml_mm.registry import MODELS

# Bytes of one float32 channel that a CPU normalises at once (eight faces of 224 px):
# they stay in its cache, and the calls cost little.
_PIECE = 8 * 4 * 224 * 224


@MODELS.register_module()
class FacePreprocessor(ClsDataPreprocessor):
    """MMPretrain's, made for batches of :class:`hpml_mm.datasets.FaceArrayDataset`.

    The numbers are the same. Faces of one channel, where ``mean`` has three, become
    three in the same pass that normalises them; and labels which are on the model's
    device already are not taken apart and put together again.

    Args:
        mean: One value for each channel, or None to leave the levels as they are.
        std: One value for each channel, or None.
        **kwargs: Passed to ``ClsDataPreprocessor``.
    """

    def __init__(
        self,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(mean=mean, std=std, **kwargs)
        # Asked here: a GPU would have to be waited for.
        self._channels = len(mean or ())
        self._alike = len(set(mean or ())) == len(set(std or ())) == 1

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise, see ``ClsDataPreprocessor.forward``."""
        if not self._is_simple(data):
            return super().forward(data, training)
        inputs = self.cast_data(data['inputs'])
        mean, std = self.mean, self.std
        if self._alike:
            mean, std = mean[:1], std[:1]
        inputs = normalized(inputs, mean, std, self._channels)
        return {'inputs': inputs, 'data_samples': data['data_samples']}

    def _is_simple(self, data: dict[str, Any]) -> bool:
        """Return whether normalisation is all that is configured."""
        inputs, samples = data['inputs'], data.get('data_samples')
        if not (isinstance(inputs, Tensor) and inputs.shape[1] == 1 and samples):
            return False
        label = samples[0].get('gt_label') if hasattr(samples[0], 'get') else None
        return (
            self._channels > 0
            and self.pad_size_divisor <= 1
            and self.batch_augments is None
            and not self.to_onehot
            and label is not None
            and label.device == self.mean.device
        )


def normalized(levels: Tensor, mean: Tensor, std: Tensor, channels: int) -> Tensor:
    """Subtract means, divide by standard deviations, in this order.

    Args:
        levels: Shape (N, 1, H, W).
        mean: One value for all channels or one for each, of shape (1 or C, 1, 1).
        std: The same.
        channels: C, number of channels to make.

    Returns:
        float32 of shape (N, C, H, W).
    """
    size = levels.shape[2:]
    out = torch.empty(
        len(levels), channels, *size, dtype=torch.float32, device=levels.device
    )
    step = max(1, len(levels))
    if levels.device.type == 'cpu':
        step = max(1, _PIECE // (4 * size.numel()))
    for start in range(0, len(levels), step):
        piece = slice(start, start + step)
        part, target = levels[piece], out[piece]
        made = target[:, : len(mean)]
        torch.sub(part.float(), mean, out=made).div_(std)
        if len(mean) < channels:
            target[:, 1:] = made
    return out
