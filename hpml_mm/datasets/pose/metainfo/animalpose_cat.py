# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cats with AnimalPose's 20 keypoints, as MMPose describes them.

Its sigmas are COCO's in COCO's order, so the two ears differ (.026 and .035). They
stay, because every published AP on AnimalPose rests on them.
"""

_base_ = 'mmpose::_base_/datasets/animalpose.py'

dataset_info = dict(dataset_name='animalpose_cat')
