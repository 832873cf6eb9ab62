# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# From the whole of a trained HRNet: MMPose's, or a checkpoint of the original code.
_base_ = [
    '../_base_/topdown/coco_256x192.py',
    '../_base_/backbones/hrnet_w32.py',
    '../_base_/schedules/step_20e.py',
    '../_base_/optimizers/adam.py',
    '../_base_/pose_runtime.py',
]

model = _base_.network
load_from = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth'
)
model.backbone.init_cfg = None
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(milestones=[7, 10])
