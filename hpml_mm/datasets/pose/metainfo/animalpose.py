# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Animals with AnimalPose's 20 keypoints, as MMPose describes them.

MMPose names this file relative to a source tree that an installed package lacks, and
warns whenever it looks elsewhere.
"""

_base_ = 'mmpose::_base_/datasets/animalpose.py'
