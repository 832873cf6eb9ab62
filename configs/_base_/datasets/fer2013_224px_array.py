# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# fer2013_224px.py without a loader: all faces are one array on the training's device.
# Whole batches are enlarged, blurred and sharpened there.
_base_ = './fer2013_224px.py'

source = dict(
    type='hpml_mm.FERFolderDataset', data_root='{{$HPML_MM_DATA:data}}/fer2013'
)
array = dict(_delete_=True, type='hpml_mm.FaceArrayDataset')
loader = dict(
    num_workers=0, persistent_workers=False, collate_fn=dict(type='hpml_mm.keep_batch')
)
enlarge = dict(type='hpml_mm.BatchResize', size=224)

data_preprocessor = dict(type='hpml_mm.FacePreprocessor')
train_dataloader = dict(
    **loader,
    dataset=dict(
        **array,
        source=dict(**source, split='train'),
        augment=[
            enlarge,
            dict(type='hpml_mm.BatchRandomFlip', prob=0.5),
            dict(type='hpml_mm.BatchGaussianBlur', kernel_size=(5, 9), sigma=(0.1, 5)),
            dict(
                type='hpml_mm.BatchRandomAdjustSharpness', sharpness_factor=2, prob=0.5
            ),
        ],
    ),
)
val_dataloader = dict(
    **loader,
    dataset=dict(
        **array, source=dict(**source, split='val', test_mode=True), augment=[enlarge]
    ),
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **array,
        source=dict(**source, split=['val', 'test'], test_mode=True),
        augment=[enlarge],
    ),
)

# Augmentation by seed, epoch and face alone. A leaf appends it.
input_hooks = [dict(type='hpml_mm.SampleSeedHook')]

# These names end here: an override of one of them would reach nothing above.
del source, array, loader, enlarge
