# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Build the description of a model that is stored in its file."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from hpml_mm.utils.model import bare_model

from .network import plain_network
from .spec import DeploySpec, PoseSpec, check_steps
from .steps import ImageReader, as_json, metainfo_of, plain_type, steps_of

#: Width and height of the picture that a pipeline is tried on, in pixels.
_TRIAL = (96, 80)
_RED_BGR = (0, 0, 255)


def spec_of(
    cfg: Config, model: nn.Module, metainfo: Mapping[str, Any] | None = None
) -> DeploySpec:
    """Describe a model, so that its network can be used without the config.

    Size and order of the channels are not read out of the config but seen: a red
    picture is put through the steps and the data preprocessor.

    Args:
        cfg: The model's config; its data need not be there.
        model: A classifier of MMPretrain or a top-down pose model of MMPose.
        metainfo: Names of the classes or keypoints, as a data set or a checkpoint
            holds them; None for those of the config's test data set.

    Raises:
        ValueError: If the model is neither, or does something on the way from the
            image to the result that a file cannot say.
    """
    model = bare_model(model)
    head = plain_network(model).head  # refuses other kinds of models
    preprocessor: Any = model.data_preprocessor
    metainfo = dict(metainfo or metainfo_of(cfg))
    pose = 'keypoint_id2name' in metainfo
    task = 'pose' if pose else 'classify'
    steps = steps_of(cfg)
    short = tuple({**step, 'type': plain_type(step)} for step in steps)
    check_steps(task, short)
    reader = ImageReader(steps, cfg.get('default_scope'), metainfo if pose else None)
    image, inputs = _try(reader, preprocessor, pose)
    channels, height, width = inputs.shape
    mean, std = _normalisation(preprocessor, channels)
    return DeploySpec(
        task=task,
        names=_names(cfg, metainfo, pose),
        input_size=(width, height),
        channels=channels,
        mean=mean,
        std=std,
        color=_color_order(_middle(image), _middle(inputs), mean, std),
        pipeline=short,
        pose=_pose_spec(cfg, model, head, metainfo, short) if pose else None,
    )


def _names(cfg: Config, metainfo: Mapping[str, Any], pose: bool) -> tuple[str, ...]:
    if pose:
        ids = metainfo['keypoint_id2name']
        return tuple(ids[index] for index in range(len(ids)))
    names = tuple(metainfo.get('classes') or ())
    if not names:
        raise ValueError(
            f'{cfg.filename}: neither its test data set nor the checkpoint names the '
            "classes: set the data set's metainfo=dict(classes=...)"
        )
    return names


def _try(
    reader: ImageReader, preprocessor: nn.Module, pose: bool
) -> tuple[Tensor, Tensor]:
    """Red picture after the steps, and after the preprocessor, each (C, H, W)."""
    if getattr(preprocessor, 'pad_size_divisor', 1) > 1:
        raise ValueError(
            'the data preprocessor pads images (pad_size_divisor), which a file cannot '
            'say: resize or crop them to one size in the test pipeline'
        )
    width, height = _TRIAL
    red = np.full((height, width, 3), _RED_BGR, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'red.png')
        cv2.imwrite(str(path), red)
        item = reader(path, (0, 0, width, height) if pose else None)
    with torch.no_grad():
        inputs = preprocessor(pseudo_collate([item]))['inputs']
    if not isinstance(inputs, Tensor):
        inputs = torch.stack(list(inputs))
    return item['inputs'], inputs[0].cpu()


def _middle(image: Tensor) -> Tensor:
    """Channels of the pixel in the middle: at the edge a crop may show padding."""
    return image[:, image.shape[1] // 2, image.shape[2] // 2].float()


def _normalisation(
    preprocessor: Any, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not getattr(preprocessor, '_enable_normalize', False):
        return (0.0,) * channels, (1.0,) * channels
    # As decimals of a config, not as the nearest float32.
    mean, std = (
        tuple(float(f'{value:.7g}') for value in each.flatten().tolist())
        for each in (preprocessor.mean, preprocessor.std)
    )
    return mean * (channels // len(mean)), std * (channels // len(std))


def _color_order(
    image: Tensor, inputs: Tensor, mean: Sequence[float], std: Sequence[float]
) -> str:
    """Channel order, rgb or bgr, in which this is pure red."""
    if len(image) == 1:
        return 'grey'
    if int(image.argmax()) == 0:
        raise ValueError(
            'the test pipeline changes BGR to RGB, which a file cannot say: leave it '
            'to the data preprocessor'
        )
    levels = inputs * torch.tensor(std) + torch.tensor(mean)
    return 'rgb' if int(levels.argmax()) == 0 else 'bgr'


def _pose_spec(
    cfg: Config,
    model: Any,
    head: nn.Module,
    metainfo: Mapping[str, Any],
    steps: Sequence[dict],
) -> PoseSpec:
    codec = as_json((cfg.model.get('head') or {}).get('decoder'))
    if isinstance(codec, Mapping) and 'type' in codec:
        codec = {**codec, 'type': plain_type(codec)}
    boxes = [step for step in steps if step['type'] == 'GetBBoxCenterScale']
    return PoseSpec(
        output=_output_kind(head),
        codec=codec,
        test_cfg=as_json(model.test_cfg),
        padding=boxes[0].get('padding', 1.25) if boxes else 1.0,
        flip_indices=_integers(metainfo['flip_indices']),
        skeleton=_integers(metainfo['skeleton_links']),
        keypoint_colors=_integers(metainfo['keypoint_colors']),
        skeleton_colors=_integers(metainfo['skeleton_link_colors']),
    )


def _output_kind(head: nn.Module) -> str:
    from mmpose.models import heads

    kinds = {
        heads.HeatmapHead.predict: 'heatmap',
        heads.RegressionHead.predict: 'coordinates',
        heads.SimCCHead.predict: 'simcc',
        heads.RTMCCHead.predict: 'simcc',
    }
    own: Any = type(head)
    kind = kinds.get(own.predict)
    if kind is None:
        raise ValueError(
            f'the outputs of {type(head).__name__} cannot be decoded from a file, but '
            'those of HeatmapHead, RegressionHead, SimCCHead and RTMCCHead'
        )
    return kind


def _integers(value: Any) -> Any:
    """Arrays and lists of integers as tuples."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_integers(item) for item in value)
    return int(value)
