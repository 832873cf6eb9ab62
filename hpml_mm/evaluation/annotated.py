# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Whether a predicted sample can be compared with an annotation."""

from collections.abc import Iterable, Mapping

from mmpose.structures import PoseDataSample


def check_annotated(data_samples: Iterable[PoseDataSample | Mapping], who: str) -> None:
    """Refuse samples of detected boxes.

    MMPose gives them keypoints too: all zero, and all marked as visible.

    Args:
        data_samples: Samples with a prediction.
        who: What wants to compare, for the message.

    Raises:
        ValueError: If a sample has no annotation of its own.
    """
    for data_sample in data_samples:
        if 'raw_ann_info' not in data_sample:
            raise ValueError(
                f'{who}: sample {data_sample.get("id")} of '
                f'{data_sample.get("img_path")} has no annotation to compare with. '
                "The boxes of a data set's bbox_file have none: leave bbox_file out, "
                'or evaluate them with CocoMetric alone. Elsewhere PackPoseInputs '
                "needs 'raw_ann_info' among its meta_keys"
            )
