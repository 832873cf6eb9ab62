# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A pose model of MMPose without a network of its own."""

from typing import Any

from mmengine.registry import DefaultScope
from mmpose.models import TopdownPoseEstimator
from mmpose.models.heads import HeatmapHead, RegressionHead, SimCCHead
from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from .engine_model import PassOn
from .network import Outputs
from .spec import DeploySpec

#: The heads whose ``predict`` fits outputs of a kind; it uses their ``forward`` and
#: ``decode`` alone.
_STOCK = {'heatmap': HeatmapHead, 'simcc': SimCCHead, 'coordinates': RegressionHead}


class DecodingHead(BaseHead):
    """A head without layers, which decodes outputs as MMPose's own heads do.

    Args:
        output: Kind of the outputs, see :class:`~hpml_mm.deploy.spec.PoseSpec`.
        decoder: Config of the codec.
    """

    def __init__(self, output: str, decoder: dict[str, Any]) -> None:
        super().__init__()
        self._predict = _STOCK[output].predict
        self.decoder = KEYPOINT_CODECS.build(decoder)

    def forward(self, feats: tuple[Tensor]) -> Outputs:
        """The features, which are outputs already."""
        return feats[-1]

    def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any) -> Any:
        """Decode, and average with the mirror image where ``test_cfg`` says so."""
        return self._predict(self, feats, batch_data_samples, test_cfg)

    def loss(self, *args: Any) -> dict:
        """Not there: nothing can be trained."""
        raise NotImplementedError('a head without layers cannot be trained')


def pose_model(spec: DeploySpec, preprocessor: dict[str, Any]) -> TopdownPoseEstimator:
    """A top-down model that takes a network's outputs in place of images.

    Args:
        spec: Description of a pose network.
        preprocessor: Arguments of ``PoseDataPreprocessor``.
    """
    pose = spec.pose
    assert pose is not None
    codec = {**pose.codec, 'input_size': spec.input_size}
    with DefaultScope.overwrite_default_scope('mmpose'):
        return TopdownPoseEstimator(
            data_preprocessor={'type': 'PoseDataPreprocessor', **preprocessor},
            backbone={'type': PassOn},
            head={'type': DecodingHead, 'output': pose.output, 'decoder': codec},
            test_cfg=dict(pose.test_cfg),
        )
