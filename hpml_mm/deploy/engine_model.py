# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models of MMPretrain and MMPose whose network runs in an inference engine."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from hpml_mm.utils.model import bare_model

from .engines import Engine
from .network import Outputs, plain_network
from .spec import DeploySpec, PoseSpec


class PassThrough(nn.Module):
    """Backbone that returns its images as the only feature."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the images as the only feature."""
        return (images,)


def with_engine(model: nn.Module, engine: Callable[[Tensor], Outputs]) -> nn.Module:
    """Copy a model with its network run by an engine, for tests, metrics and TTA.

    Everything but the network is a copy: data preprocessor, decoder, settings of the
    test. The backbone passes the images on, and the head's ``forward`` runs the engine
    on them, so that flip tests and decoding stay the model's own.

    Args:
        model: A classifier of MMPretrain or a top-down pose model of MMPose; it stays
            as it is.
        engine: Takes normalised images (N, C, H, W) on the CPU, gives what
            :class:`~hpml_mm.deploy.network.PlainNetwork` gives.

    Returns:
        A model in evaluation mode on the CPU, without the weights of the network.

    Raises:
        ValueError: If the model is of another kind.
    """
    model = bare_model(model)
    network = plain_network(model)
    # A part in the memo is not copied but taken from there.
    memo: dict[int, Any] = {id(network.backbone): PassThrough()}
    if network.neck is not None:
        memo[id(network.neck)] = None
    for part in network.head.children():
        if next(part.parameters(), None) is not None:
            memo[id(part)] = nn.Identity()
    copied: Any = copy.deepcopy(model, memo)
    # A function, as copies of the model share it: a session cannot be copied.
    copied.head.forward = lambda features: engine(features[-1])
    return copied.cpu().eval()


def model_of(spec: DeploySpec, engine: Engine) -> nn.Module:
    """Build a model with the pre- and post-processing of a description.

    Args:
        spec: Description that a file carries.
        engine: Runs the file.

    Returns:
        A classifier of MMPretrain or a top-down pose model of MMPose; its
        ``test_step`` takes what :class:`~hpml_mm.deploy.steps.ImageReader` gives.
    """
    swap = spec.color == 'rgb'
    numbers = {'mean': list(spec.mean), 'std': list(spec.std)}
    if spec.pose is not None:
        preprocessor = {'type': 'PoseDataPreprocessor', **numbers, 'bgr_to_rgb': swap}
        return with_engine(_pose_model(spec, spec.pose, preprocessor), engine)
    model = ImageClassifier(
        backbone=PassThrough(),
        head=ClsHead(loss={'type': 'mmpretrain.CrossEntropyLoss'}),
        data_preprocessor=ClsDataPreprocessor(**numbers, to_rgb=swap),
    )
    return with_engine(model, engine)


def _pose_model(
    spec: DeploySpec, pose: PoseSpec, preprocessor: Mapping[str, Any]
) -> nn.Module:
    """A top-down model that takes a network's outputs in place of images."""
    # Here, because a classifier does without MMPose.
    from mmpose.models import TopdownPoseEstimator
    from mmpose.models.heads import HeatmapHead, RegressionHead, SimCCHead
    from mmpose.models.heads.base_head import BaseHead
    from mmpose.registry import KEYPOINT_CODECS

    kinds = {'heatmap': HeatmapHead, 'simcc': SimCCHead, 'coordinates': RegressionHead}
    decode = kinds[pose.output].predict  # uses nothing but ``forward`` and ``decode``

    class DecodingHead(BaseHead):
        """A head without layers, which decodes outputs as MMPose's own head does."""

        def __init__(self, decoder: Mapping[str, Any]) -> None:
            super().__init__()
            self.decoder = KEYPOINT_CODECS.build(decoder)

        def forward(self, feats: tuple[Tensor]) -> Outputs:
            return feats[-1]

        def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any) -> Any:
            return decode(self, feats, batch_data_samples, test_cfg)

        def loss(self, *args: Any) -> dict:
            raise NotImplementedError('a head without layers cannot be trained')

    codec = {**pose.codec, 'input_size': spec.input_size}
    with DefaultScope.overwrite_default_scope('mmpose'):
        return TopdownPoseEstimator(
            data_preprocessor=dict(preprocessor),
            backbone={'type': PassThrough},
            head={'type': DecodingHead, 'decoder': codec},
            test_cfg=dict(pose.test_cfg),
        )
