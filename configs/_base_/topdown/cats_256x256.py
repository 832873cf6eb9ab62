# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Cats of 256x256 with heatmaps of 64x64: everything that knows a size. Another size is
# a file beside this one, which binds all of these anew: a leaf that set `codec` alone
# would train at 256 all the same.
codec = dict(
    type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2.0
)
# The original's rotations reach 20 degrees: its factor of 10 was a standard deviation.
jitter = dict(
    type='RandomBBoxTransform',
    scale_factor=(0.8, 1.2),
    rotate_factor=20,
    rotate_prob=0.6,
    shift_prob=0,
)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    jitter,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
eval_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
data_root = '{{$HPML_MM_DATA:data}}/cats'
dataset = dict(
    type='hpml_mm.CatPoseDataset',
    data_root=data_root,
    data_prefix=dict(img='images/'),
)
loader = dict(num_workers=2, persistent_workers=True)
val_data = dict(
    **loader,
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        **dataset,
        ann_file='annotations/cats17_val.json',
        pipeline=eval_pipeline,
        test_mode=True,
    ),
)
metrics = [dict(type='CocoMetric'), dict(type='hpml_mm.KeypointPCK')]

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    head=dict(
        type='HeatmapHead',
        out_channels=17,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
train_dataloader = dict(
    **loader,
    batch_size=64,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='annotations/cats17_train.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = metrics
test_evaluator = metrics
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=64)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(
    optimizer='adam', lr=1e-5, weights='pretrained', sigma=codec['sigma'], workers=2
)

# These names end here: an override of one of them would reach nothing above.
del jitter, train_pipeline, eval_pipeline, data_root, dataset, loader, val_data, metrics
