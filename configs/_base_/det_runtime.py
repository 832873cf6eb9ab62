# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# `default_runtime.py` for MMDetection, whole as that of poses.
default_scope = 'mmdet'

default_hooks = dict(
    # Losses are read when they are logged, and not in each iteration.
    runtime_info=dict(type='hpml_mm.RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=1,
        save_best='coco/bbox_mAP',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Else each process would validate with BatchNorm statistics of its own.
    sync_buffers=dict(type='SyncBuffersHook'),
)
custom_hooks = [
    dict(type='hpml_mm.SampleSeedHook'),
    dict(type='hpml_mm.ThroughputHook'),
    dict(type='hpml_mm.DataLoadRatioHook'),
    dict(type='hpml_mm.ProgressHook'),
    dict(type='hpml_mm.GracefulStopHook'),
    dict(type='hpml_mm.SummaryHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    # OpenCV's own threads would fight the workers for the cores.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='DetLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
