# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Panoptic maps of voc_animals and a Panoptic FPN without a backbone: the Mask R-CNN of
# the instances and the head of the semantic maps. The five animals are things; the
# background and VOC's other 15 classes are stuff.
_base_ = './instances_160x160.py'

classes = dict(num_things_classes=5, num_stuff_classes=16)
model = dict(
    type='PanopticFPN',
    data_preprocessor=dict(pad_seg=True, seg_pad_value=255),
    semantic_head=dict(
        type='PanopticFPNHead',
        **classes,
        in_channels=64,
        inner_channels=64,
        start_level=0,
        end_level=4,
        norm_cfg=dict(type='GN', num_groups=16),
        loss_seg=dict(
            type='CrossEntropyLoss',
            ignore_index=255,
            avg_non_ignore=True,
            loss_weight=0.5,
        ),
    ),
    panoptic_fusion_head=dict(type='HeuristicFusionHead', **classes),
    test_cfg=dict(
        rcnn=dict(
            score_thr=0.6,
            nms=dict(type='nms', iou_threshold=0.5, class_agnostic=True),
        ),
        # COCO's 4,096 pixels, of images of half the side.
        panoptic=dict(mask_overlap=0.5, stuff_area_limit=1024),
    ),
)
dataset = dict(
    type='hpml_mm.PanopticDataset',
    data_root='{{$HPML_MM_DATA:data}}/voc_animals',
)
image, truth = dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations')
resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
meta = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
val_data = dict(
    dataset=dict(
        _delete_=True,
        **dataset,
        ann_file='annotations/panoptic_val.json',
        pipeline=[
            image,
            resize,
            # CocoPanopticMetric takes the truth from here.
            dict(type='PackDetInputs', meta_keys=(*meta, 'segments_info')),
        ],
        test_mode=True,
    )
)
metric = dict(
    _delete_=True,
    type='CocoPanopticMetric',
    seg_prefix='{{$HPML_MM_DATA:data}}/voc_animals/panoptic/',
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **dataset,
        ann_file='annotations/panoptic_train.json',
        pipeline=[
            image,
            truth,
            resize,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs', meta_keys=meta),
        ],
    )
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = metric
test_evaluator = metric
del classes, dataset, image, truth, resize, meta, val_data, metric
