# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Maps of voc_animals, five species and the rest, and the semantic branch of Panoptic
# FPN without a backbone, whose strides are 4, 8, 16 and 32.
dataset = dict(
    type='hpml_mm.AnimalSemanticDataset',
    data_root='{{$HPML_MM_DATA:data}}/voc_animals',
)
loader = dict(batch_size=16, num_workers=2, persistent_workers=True)
image = dict(type='LoadImageFromFile')
# OpenCV would read the colours of the palette.
truth = dict(
    type='LoadAnnotations', with_bbox=False, with_label=False, with_seg=True,
    imdecode_backend='pillow',
)  # fmt: skip
resize = dict(type='Resize', scale=(128, 128), keep_ratio=True)
pack = dict(
    type='PackDetInputs',
    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
)
val_data = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val.json',
        # The truth keeps its size.
        pipeline=[image, resize, truth, pack],
        test_mode=True,
    ),
)

model = dict(
    type='hpml_mm.SemanticFPN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        bgr_to_rgb=True,
        # The size: every image is filled up to a square of it, its map with void.
        pad_size_divisor=128,
        pad_seg=True,
        seg_pad_value=255,
    ),
    neck=dict(type='FPN', in_channels=[24, 32, 96, 1280], out_channels=64, num_outs=4),
    semantic_head=dict(
        type='PanopticFPNHead',
        # One output for each kind of stuff, and one for what else there is.
        num_things_classes=0,
        num_stuff_classes=5,
        in_channels=64,
        inner_channels=64,
        start_level=0,
        end_level=4,
        norm_cfg=dict(type='GN', num_groups=16),
        loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, avg_non_ignore=True),
    ),
)
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train.json',
        pipeline=[image, truth, resize, dict(type='RandomFlip', prob=0.5), pack],
    ),
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = dict(type='hpml_mm.MeanIoU')
test_evaluator = dict(type='hpml_mm.MeanIoU')
auto_scale_lr = dict(base_batch_size=16)
name_defaults = dict(optimizer='adam', lr=1e-3, weights='pretrained', workers=2)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, image, truth, resize, pack, val_data
