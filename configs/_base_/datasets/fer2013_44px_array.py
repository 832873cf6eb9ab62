# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# fer2013_44px.py without a loader: all faces are one array on the training's device.
# Whole batches are cropped and flipped there.
source = dict(
    type='hpml_mm.FERFolderDataset', data_root='{{$HPML_MM_DATA:data}}/fer2013'
)
array = dict(type='hpml_mm.FaceArrayDataset')
loader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='hpml_mm.keep_batch'),
)
shuffled = dict(type='DefaultSampler', shuffle=True)
in_order = dict(type='DefaultSampler', shuffle=False)
crop = [dict(type='hpml_mm.BatchCenterCrop', size=44)]

# Mean .507 and standard deviation .255 of the training faces, times 255.
data_preprocessor = dict(type='hpml_mm.FacePreprocessor', mean=[129.3], std=[65.0])
train_dataloader = dict(
    **loader,
    sampler=shuffled,
    dataset=dict(
        **array,
        source=dict(**source, split='train'),
        augment=[
            dict(type='hpml_mm.BatchRandomCrop', size=44),
            dict(type='hpml_mm.BatchRandomFlip', prob=0.5),
        ],
    ),
)
val_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        **array, source=dict(**source, split='val', test_mode=True), augment=crop
    ),
)
test_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        **array,
        source=dict(**source, split=['val', 'test'], test_mode=True),
        augment=crop,
    ),
)
val_evaluator = dict(type='hpml_mm.FERMetric')
test_evaluator = dict(type='hpml_mm.FERMetric')
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=128)

# Augmentation by seed, epoch and face alone. A leaf appends it.
input_hooks = [dict(type='hpml_mm.SampleSeedHook')]

# These names end here: an override of one of them would reach nothing above.
del source, array, loader, shuffled, in_order, crop
