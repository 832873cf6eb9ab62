# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cats with AP-10K's 17 keypoints: MMPose's description, less two slips of it."""

_base_ = 'mmpose::_base_/datasets/ap10k.py'

dataset_info = dict(
    dataset_name='ap10k_cat',
    # There the right front paw alone is of the lower body, so half a body would be cut
    # out one way for a left side and another way for a right one.
    keypoint_info={10: dict(type='upper')},
    # There the weights are COCO's, in whose order 7 and 8 are elbows and 9 and 10
    # wrists. Here elbows and knees (6, 9, 12, 15) weigh 1.2, paws (7, 10, 13, 16) 1.5.
    joint_weights=[
        *(1.0, 1.0, 1.0, 1.0, 1.0),
        *(1.0, 1.2, 1.5),
        *(1.0, 1.2, 1.5),
        *(1.0, 1.2, 1.5),
        *(1.0, 1.2, 1.5),
    ],
)
