# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# As HRNet's own code steps: before an epoch instead of after it.
_base_ = '../_base_/coco/hrnet_w32.py'

param_scheduler = [dict(type='MultiStepLR', milestones=[169, 199], gamma=0.1)]
