# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pack a top-down sample for ``PoseTargetPreprocessor`` with few copies."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.structures import PoseDataSample

from hpml_mm.registry import TRANSFORMS

#: Keys of a pipeline and their names in ``gt_instances``.
_INSTANCE_KEYS = {
    **PackPoseInputs.instance_mapping_table,
    'transformed_keypoints': 'transformed_keypoints',
}


@TRANSFORMS.register_module()
class PackKeypoints(BaseTransform):
    """MMPose's ``PackPoseInputs`` for a model with ``PoseTargetPreprocessor``.

    The image is handed over as it is, uint8 with the channels last, and the places of
    the keypoints in it go along: the model's preprocessor does the rest for a whole
    batch. There are no targets here, so ``GenerateTarget`` is left out before it.

    Annotations are handed over, not copied deeply one by one.

    Required Keys:

    - img: uint8 of shape (H, W, 3)
    - transformed_keypoints and keypoints_visible for training
    - bbox, bbox_score, keypoints, bbox_scale, head_size and ``meta_keys`` (optional)

    Args:
        meta_keys: What to keep as meta information, where it is there. In training
            nothing reads ``raw_ann_info``, the whole annotation: leaving it out
            spares workers to send it.

    Returns:
        ``inputs``, a uint8 tensor of shape (H, W, 3), and ``data_samples``, a
        ``PoseDataSample``.
    """

    def __init__(self, meta_keys: Sequence[str] = PackPoseInputs().meta_keys) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack.

        Raises:
            ValueError: The image is not one of three channels of uint8, or the
                pipeline made targets.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'PackKeypoints: {results.get("img_path")} is {image.dtype} of shape '
                f'{image.shape}, but must be uint8 of shape (H, W, 3)'
            )
        if 'heatmaps' in results:
            raise ValueError(
                'PackKeypoints: the pipeline made heatmaps; remove GenerateTarget and '
                'give its encoder to PoseTargetPreprocessor, or pack with '
                'PackPoseInputs'
            )
        sample = PoseDataSample()
        for key in self.meta_keys:
            if key in results:
                # ``set_metainfo`` copies deeply what came out of a pickle just now.
                sample.set_field(results[key], key, field_type='metainfo')
        sample.gt_instances = _instances(results)
        # An image in a cache is read-only, and torch would warn of it.
        image = np.require(image, requirements=('C', 'W'))
        return {'inputs': torch.from_numpy(image), 'data_samples': sample}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def _instances(results: dict) -> InstanceData:
    instances = InstanceData()
    for key, name in _INSTANCE_KEYS.items():
        value = results.get(key)
        if value is None or not np.ndim(value):
            continue
        if key == 'keypoints_visible' and value.ndim == 3:
            # The second of the two is a weight that heatmaps have no use for.
            value = value[..., 0]
        # Past ``InstanceData``'s own check of lengths: each has one instance.
        instances.set_field(value, name)
    return instances
