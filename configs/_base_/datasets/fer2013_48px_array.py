# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# fer2013_48px.py without a loader: all faces are one array on the training's device.
# Whole batches are cropped and flipped there.
_base_ = './fer2013_224px.py'

source = dict(
    type='hpml_mm.FERFolderDataset', data_root='{{$HPML_MM_DATA:data}}/fer2013'
)
array = dict(_delete_=True, type='hpml_mm.FaceArrayDataset')
loader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='hpml_mm.keep_batch'),
)

data_preprocessor = dict(type='hpml_mm.FacePreprocessor')
train_dataloader = dict(
    **loader,
    dataset=dict(
        **array,
        source=dict(**source, split='train'),
        augment=[
            dict(type='hpml_mm.BatchRandomCrop', size=48, padding=4),
            dict(type='hpml_mm.BatchRandomFlip', prob=0.5),
        ],
    ),
)
val_dataloader = dict(
    **loader,
    dataset=dict(
        **array, source=dict(**source, split='val', test_mode=True), augment=[]
    ),
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **array,
        source=dict(**source, split=['val', 'test'], test_mode=True),
        augment=[],
    ),
)

auto_scale_lr = dict(base_batch_size=128)
# Augmentation by seed, epoch and face alone. A leaf appends it.
input_hooks = [dict(type='hpml_mm.SampleSeedHook')]

# These names end here: an override of one of them would reach nothing above.
del source, array, loader
