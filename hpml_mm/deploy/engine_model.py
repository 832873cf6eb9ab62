# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models of MMPretrain and MMPose whose network is an engine."""

import copy
from collections.abc import Callable
from typing import Any

from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from hpml_mm.utils.model import bare_model

from .engines import Engine
from .network import Outputs, plain_network
from .spec import DeploySpec


class PassOn(nn.Module):
    """Stands in for a backbone: the images are the features."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images,)


class EngineForward:
    """Stands in for ``forward`` of a head: the whole network, run by an engine.

    Args:
        engine: Takes images, gives what the head's own ``forward`` gives.
    """

    def __init__(self, engine: Callable[[Tensor], Outputs]) -> None:
        self.engine = engine

    def __call__(self, features: tuple[Tensor]) -> Outputs:
        return self.engine(features[-1])

    def __deepcopy__(self, memo: dict) -> 'EngineForward':
        return self  # an engine holds a session, which cannot be copied


def with_engine(model: nn.Module, engine: Callable[[Tensor], Outputs]) -> nn.Module:
    """The same model, run by an engine: tests, metrics and TTA take it as it is.

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
    plain_network(model)
    # What stands in the memo is not copied but taken from there.
    memo: dict[int, Any] = {id(model.backbone): PassOn()}
    if model.with_neck:
        memo[id(model.neck)] = None
    for part in model.head.children():
        if next(part.parameters(), None) is not None:
            memo[id(part)] = nn.Identity()
    copied = copy.deepcopy(model, memo)
    copied.head.forward = EngineForward(engine)
    return copied.cpu().eval()


def model_of(spec: DeploySpec, engine: Engine) -> nn.Module:
    """A model with the pre- and post-processing that a description says.

    Args:
        spec: What a file carries.
        engine: What runs the file.

    Returns:
        A classifier of MMPretrain or a top-down pose model of MMPose; its
        ``test_step`` takes what :class:`~hpml_mm.deploy.steps.ImageReader` gives.
    """
    swap = spec.color == 'rgb'
    numbers = {'mean': list(spec.mean), 'std': list(spec.std)}
    if spec.task == 'classify':
        model = ImageClassifier(
            backbone=PassOn(),
            head=ClsHead(loss={'type': 'mmpretrain.CrossEntropyLoss'}),
            data_preprocessor=ClsDataPreprocessor(**numbers, to_rgb=swap),
        )
    else:
        from .engine_pose import pose_model

        model = pose_model(spec, {**numbers, 'bgr_to_rgb': swap})
    return with_engine(model, engine)
