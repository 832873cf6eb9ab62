# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Boxes of voc_animals and a RetinaNet without a backbone, whose strides are 4, 8, 16
# and 32; the neck takes the last three.
dataset = dict(
    type='CocoDataset',
    data_root='{{$HPML_MM_DATA:data}}/voc_animals',
    data_prefix=dict(img='images/'),
    metainfo=dict(classes=('cat', 'cow', 'dog', 'horse', 'sheep')),
)
loader = dict(num_workers=2, persistent_workers=True)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
pack = dict(
    type='PackDetInputs',
    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
)
val_data = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val.json',
        pipeline=[load[0], resize, load[1], pack],
        test_mode=True,
    ),
)
metric = dict(
    type='CocoMetric',
    ann_file='{{$HPML_MM_DATA:data}}/voc_animals/annotations/instances_val.json',
    metric=['bbox'],
)

model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        bgr_to_rgb=True,
        # The size: every image is filled up to a square of it.
        pad_size_divisor=160,
    ),
    neck=dict(
        type='FPN',
        in_channels=[24, 32, 96, 1280],
        out_channels=64,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=5,
    ),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=5,
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type='PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=300,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=20,
    ),
)
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train.json',
        pipeline=[*load, resize, dict(type='RandomFlip', prob=0.5), pack],
    ),
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = metric
test_evaluator = metric
auto_scale_lr = dict(base_batch_size=16)
name_defaults = dict(optimizer='adam', lr=1e-3, weights='pretrained', workers=2)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, load, resize, pack, val_data, metric
