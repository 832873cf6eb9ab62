# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Masks of voc_animals and a Mask R-CNN without a backbone, narrow after its neck of 64
# channels. Masks are those of the classes within the boxes: see configs/animals.
_base_ = './boxes_160x160.py'

coder = dict(type='DeltaXYWHBBoxCoder')
cross_entropy = dict(type='CrossEntropyLoss', loss_weight=1.0)
l1 = dict(type='L1Loss', loss_weight=1.0)
strides = [4, 8, 16, 32]
model = dict(
    _delete_=True,
    type='MaskRCNN',
    data_preprocessor=dict(_base_.model.data_preprocessor, pad_mask=True),
    neck=dict(type='FPN', in_channels=[24, 32, 96, 1280], out_channels=64, num_outs=5),
    rpn_head=dict(
        type='RPNHead',
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[*strides, 64],
        ),
        bbox_coder=coder,
        loss_cls=dict(cross_entropy, use_sigmoid=True),
        loss_bbox=l1,
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            out_channels=64,
            featmap_strides=strides,
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=64,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes=5,
            bbox_coder=dict(coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=cross_entropy,
            loss_bbox=l1,
        ),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2),
            out_channels=64,
            featmap_strides=strides,
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            num_classes=5,
            loss_mask=dict(cross_entropy, use_mask=True),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type='RandomSampler',
                num=128,
                pos_fraction=0.5,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=300,
            max_per_img=100,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=64, pos_fraction=0.25),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=300,
            max_per_img=50,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=20,
            mask_thr_binary=0.5,
        ),
    ),
)
train_pipeline = _base_.train_dataloader.dataset.pipeline
eval_pipeline = _base_.val_dataloader.dataset.pipeline
for step in train_pipeline + eval_pipeline:
    if step.type == 'LoadAnnotations':
        step.update(with_mask=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
test_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = dict(metric=['bbox', 'segm'])
del coder, cross_entropy, l1, strides, train_pipeline, eval_pipeline, step
