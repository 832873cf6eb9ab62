# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data preprocessor that makes a pose model's images and targets on its device."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.models import PoseDataPreprocessor
from mmpose.registry import KEYPOINT_CODECS
from mmpose.structures import PoseDataSample

from hpml_mm.registry import MODELS

from .batched_heatmap import HeatmapSpec, batched_heatmaps


@MODELS.register_module()
class PoseTargetPreprocessor(PoseDataPreprocessor):
    """MMPose's ``PoseDataPreprocessor`` for samples of ``PackKeypoints``.

    Images go to the device as bytes, a quarter of what floats are, and are swapped to
    RGB and normalised there. In training, the heatmaps of all samples are drawn there
    by :func:`~hpml_mm.models.batched_heatmap.batched_heatmaps`, and each sample gets
    its own as a view: ``gt_fields.heatmaps`` of shape (K, h, w) and
    ``gt_instance_labels.keypoint_weights`` of shape (1, K), where
    ``HeatmapHead.loss`` looks for them. The numbers are those of MMPose's
    preprocessor and codecs.

    With ``collate_fn=dict(type='default_collate')`` in the loader, a batch comes as
    one tensor, which ``pin_memory`` and ``non_blocking`` can speed up; a list of
    images, as from ``pseudo_collate``, is stacked here.

    Args:
        encoder: Config of the codec that targets are made by, ``MSRAHeatmap`` or
            ``UDPHeatmap``. None for a model that is not trained.
        channels_last: True if the images come out in this memory format, which is
            how OpenCV makes them: on a CPU it is the cheaper one by far.
        mean: Mean of each channel, in the order after the swap. None for images that
            stay in levels.
        std: Standard deviation, likewise.
        bgr_to_rgb: True to swap BGR to RGB.
        rgb_to_bgr: True to swap RGB to BGR.
        non_blocking: True to copy to the device asynchronously.
        batch_augments: As for ``PoseDataPreprocessor``.

    Raises:
        ValueError: The codec is not one of the two.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any] | None = None,
        channels_last: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool = False,
        batch_augments: list[dict] | None = None,
    ) -> None:
        super().__init__(
            mean=mean,
            std=std,
            bgr_to_rgb=bgr_to_rgb,
            rgb_to_bgr=rgb_to_bgr,
            non_blocking=non_blocking,
            batch_augments=batch_augments,
        )
        self.spec = None
        if encoder is not None:
            self.spec = HeatmapSpec.from_codec(KEYPOINT_CODECS.build(encoder))
        self.channels_last = channels_last

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise the images of a batch and draw its heatmaps.

        Args:
            data: ``inputs``, uint8 of shape (N, H, W, 3) or a list of (H, W, 3), and
                ``data_samples``, a list.
            training: True to make targets.

        Returns:
            ``inputs``, float32 of shape (N, 3, H, W), and the data samples.

        Raises:
            ValueError: The samples are not those of ``PackKeypoints``.
        """
        images, samples = _stacked(data['inputs']), data['data_samples']
        inputs = self._normalised(images)
        if training and self.spec is not None:
            self._add_targets(samples, self.spec)
        shape = tuple(inputs.shape[-2:])
        for sample in samples:
            for name in ('batch_input_shape', 'pad_shape'):
                sample.set_field(shape, name, field_type='metainfo')
        if training and self.batch_augments is not None:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {'inputs': inputs, 'data_samples': samples}

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        """From bytes (N, H, W, 3) to floats (N, 3, H, W)."""
        images = images.to(self.device, non_blocking=self._non_blocking)
        if self._channel_conversion:
            images = _swapped(images)
        planes = images.permute(0, 3, 1, 2)
        kept = torch.channels_last if self.channels_last else torch.contiguous_format
        inputs = planes.to(torch.float32, memory_format=kept)
        if self._enable_normalize:
            rows, mean, std = self._rows(inputs)
            rows.sub_(mean).div_(std)
        return inputs

    def _rows(
        self, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A view of the images, and means and deviations that fit it.

        Beside channels that lie next to each other, a mean of three numbers would be
        subtracted three numbers at a time; repeated over a row, all of it at once.
        """
        if not self.channels_last or len(self.mean) == 1:
            return inputs, self.mean, self.std
        width = inputs.shape[3]
        rows = inputs.permute(0, 2, 3, 1).flatten(2)
        return rows, self.mean.flatten().repeat(width), self.std.flatten().repeat(width)

    def _add_targets(
        self, samples: Sequence[PoseDataSample], spec: HeatmapSpec
    ) -> None:
        try:
            points = [one.gt_instances.transformed_keypoints for one in samples]
            visible = [one.gt_instances.keypoints_visible for one in samples]
        except AttributeError as error:
            raise ValueError(
                'PoseTargetPreprocessor: a sample has no keypoints to draw heatmaps of '
                f'({error}); end the training pipeline with hpml_mm.PackKeypoints '
                'behind a crop'
            ) from error
        places, seen = (
            torch.from_numpy(np.concatenate(each)).to(
                self.device, torch.float32, non_blocking=self._non_blocking
            )
            for each in ([p[..., :2] for p in points], visible)
        )
        heatmaps, weights = batched_heatmaps(places, seen, spec)
        for sample, drawn, weight in zip(
            samples, heatmaps.unbind(), weights.split(1), strict=True
        ):
            sample.gt_fields = PixelData(heatmaps=drawn)
            sample.gt_instance_labels = InstanceData(keypoint_weights=weight)


def _stacked(inputs: Any) -> torch.Tensor:
    images = inputs if isinstance(inputs, torch.Tensor) else torch.stack(list(inputs))
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f'PoseTargetPreprocessor: the images are {images.dtype} of shape '
            f'{tuple(images.shape)}, but must be uint8 of shape (N, H, W, 3): end '
            'every pipeline with hpml_mm.PackKeypoints'
        )
    return images


def _swapped(images: torch.Tensor) -> torch.Tensor:
    """Swap red and blue, (N, H, W, 3)."""
    if images.device.type != 'cpu':
        return images.flip(-1)
    # OpenCV takes a tenth of torch's time for this; to it, a batch is one tall image.
    tall = images.flatten(0, 1).numpy()
    swapped = cv2.cvtColor(tall, cv2.COLOR_BGR2RGB)
    return torch.from_numpy(swapped).view(images.shape)
