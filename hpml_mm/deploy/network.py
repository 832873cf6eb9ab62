# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Classifier or top-down pose model as a plain network, tensors in and out."""

from typing import Any

from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from hpml_mm.compat import has_mmpose
from hpml_mm.utils.model import bare_model

#: Of a network: one tensor, or several of a head that has several.
Outputs = Tensor | tuple[Tensor, ...]


def as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    """Return a network's one or several outputs as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


class PlainNetwork(nn.Module):
    """Backbone, neck and head of a model, without data samples and post-processing.

    The parts are the model's own and keep their names, so that a layer is called
    ``backbone.layer1.0.conv1`` here as in a checkpoint.

    Args:
        backbone: Gives a tuple of features.
        neck: Takes and gives a tuple of features; None where there is none.
        head: Gives a tensor, or several.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module | None, head: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, images: Tensor) -> Outputs:
        """Run the network.

        Args:
            images: Normalised, float32 of shape (N, C, H, W).

        Returns:
            Logits before the softmax, (N, classes); heatmaps, (N, K, h, w); or what
            else the head's own ``forward`` gives, several tensors as a tuple.
        """
        features = self.backbone(images)
        if self.neck is not None:
            features = self.neck(features)
        outputs = self.head(features)
        return tuple(outputs) if isinstance(outputs, list) else outputs


def plain_network(model: nn.Module) -> PlainNetwork:
    """Make the plain network of a model; it shares the model's modules.

    Args:
        model: MMPretrain's ``ImageClassifier``, MMPose's ``TopdownPoseEstimator``, or
            a distributed wrapper of one.

    Raises:
        ValueError: If it is neither, computes its features in a way of its own, or has
            no head.
    """
    model = bare_model(model)
    kind = type(model).__name__
    base = _known_base(model)
    if base is None:
        raise ValueError(
            f'{kind} is neither an ImageClassifier of MMPretrain nor a '
            'TopdownPoseEstimator of MMPose: only these can be deployed'
        )
    given: Any = model
    if type(given).extract_feat is not base.extract_feat:
        raise ValueError(
            f'{kind} extracts features in its own way: only backbone, neck and head '
            f'as {base.__name__} chains them can be deployed'
        )
    if getattr(model, 'head', None) is None:
        raise ValueError(f'this {kind} has no head: there is nothing to deploy')
    return PlainNetwork(given.backbone, getattr(model, 'neck', None), given.head)


def _known_base(model: nn.Module) -> Any:
    """Find the class of MMPretrain or MMPose that a model has; None for another one."""
    if isinstance(model, ImageClassifier):
        return ImageClassifier
    if has_mmpose():
        from mmpose.models import TopdownPoseEstimator

        if isinstance(model, TopdownPoseEstimator):
            return TopdownPoseEstimator
    return None
