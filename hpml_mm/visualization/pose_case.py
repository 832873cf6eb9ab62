# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cases: the true and the predicted pose of an object, with its image."""

import bisect
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmpose.structures import PoseDataSample
from torch import nn

from hpml_mm.evaluation.oks import check_annotated, object_area, oks
from hpml_mm.utils.model import bare_model


@dataclasses.dataclass(frozen=True, eq=False)
class PoseCase:
    """One object: the true pose, the predicted one, and their OKS.

    All places are pixels of the image.

    Attributes:
        id: Id of the annotation.
        image: Path of the image.
        box: True box as x1, y1, x2, y2.
        truth: True keypoints, shape (K, 2).
        visible: True if the truth knows a keypoint, shape (K,).
        predicted: Predicted keypoints, shape (K, 2).
        oks: See :func:`hpml_mm.evaluation.oks.oks`.
        center: Centre of the region that the network saw, shape (2,).
        scale: Width and height of that region, shape (2,).
        heatmaps: Shape (K, h, w) over that region; None if the model gave none.
    """

    id: int
    image: str
    box: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    predicted: np.ndarray
    oks: float
    center: np.ndarray
    scale: np.ndarray
    heatmaps: torch.Tensor | np.ndarray | None

    def to_keep(self) -> 'PoseCase':
        """Copy of the case that does not keep the whole batch's heatmaps alive."""
        if not isinstance(self.heatmaps, torch.Tensor):
            return self
        heatmaps = self.heatmaps.detach().float().cpu().numpy().copy()
        return dataclasses.replace(self, heatmaps=heatmaps)


def read_cases(
    data_samples: Sequence[PoseDataSample], sigmas: np.ndarray
) -> list[PoseCase]:
    """Read the cases of a batch of top-down predictions, in order.

    Raises:
        ValueError: If a sample holds not one object but several, as those of
            bottom-up models do, or one that is not annotated.
    """
    check_annotated(data_samples, 'pictures of poses')
    for one in data_samples:
        if not len(one.gt_instances) == len(one.pred_instances) == 1:
            raise ValueError(
                f'pictures of poses need samples of one object, but {one.img_path} '
                f'has {len(one.gt_instances)} and {len(one.pred_instances)} '
                'predictions: use a top-down model'
            )
    truth = np.concatenate([one.gt_instances.keypoints for one in data_samples])
    visible = np.concatenate(
        [one.gt_instances.keypoints_visible for one in data_samples]
    )
    predicted = np.concatenate([one.pred_instances.keypoints for one in data_samples])
    areas = [object_area(one.raw_ann_info) for one in data_samples]
    similar = oks(predicted, truth, visible > 0, areas, sigmas)
    return [
        PoseCase(
            id=one.id,
            image=one.img_path,
            box=one.gt_instances.bboxes[0],
            truth=truth[index],
            visible=visible[index] > 0,
            predicted=predicted[index],
            oks=float(similar[index]),
            center=np.ravel(one.input_center),
            scale=np.ravel(one.input_scale),
            heatmaps=one.pred_fields.heatmaps if 'pred_fields' in one else None,
        )
        for index, one in enumerate(data_samples)
    ]


class WorstCases:
    """Collection of the cases with the lowest OKS, the lowest first.

    Equal ones stay in the order in which they came. A case without an OKS is none.

    Args:
        num: Number of cases to keep.
    """

    def __init__(self, num: int) -> None:
        self.num = num
        self.kept: list[PoseCase] = []

    def offer(self, case: PoseCase) -> None:
        """Keep the case if it is among the worst so far."""
        full = len(self.kept) >= self.num
        if np.isnan(case.oks) or (full and case.oks >= self.kept[-1].oks):
            return
        bisect.insort(self.kept, case.to_keep(), key=lambda kept: kept.oks)
        del self.kept[self.num :]


@contextlib.contextmanager
def heatmaps_given(model: nn.Module) -> Iterator[None]:
    """Context in which a pose estimator of MMPose returns its heatmaps.

    It computes them anyway. Its ``test_cfg`` is replaced for the while, not changed:
    the runner's config holds the same dict, and is written into checkpoints.

    Raises:
        ValueError: If the model is no pose estimator.
    """
    model = bare_model(model)
    configured = getattr(model, 'test_cfg', None)
    if configured is None:
        raise ValueError(
            f'{type(model).__name__} has no test_cfg: pictures of poses need a '
            'top-down pose estimator of MMPose'
        )
    parts = vars(model)
    parts['test_cfg'] = {**configured, 'output_heatmaps': True}
    try:
        yield
    finally:
        parts['test_cfg'] = configured
