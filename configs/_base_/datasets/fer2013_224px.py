# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# FER2013 as hpml-2023 prepared it: enlarged to 224x224, blurred and sharpened at
# random, in torchvision's own transforms.
dataset = dict(
    type='hpml_mm.FERFolderDataset', data_root='{{$HPML_MM_DATA:data}}/fer2013'
)
loader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
# FERMetric tells PublicTest and PrivateTest apart by the sample's `split`.
pack = dict(type='PackInputs', meta_keys=('sample_idx', 'img_path', 'split'))
# Grey faces: the order of the three equal channels does not matter to PIL.
train_pipeline = [
    dict(type='hpml_mm.LoadFace', color_type='color'),
    dict(type='ToPIL'),
    dict(type='torchvision/Resize', size=(224, 224)),
    dict(type='torchvision/RandomHorizontalFlip', p=0.5),
    dict(type='torchvision/GaussianBlur', kernel_size=(5, 9), sigma=(0.1, 5)),
    dict(type='torchvision/RandomAdjustSharpness', sharpness_factor=2, p=0.5),
    pack,
]
eval_pipeline = [
    dict(type='hpml_mm.LoadFace', color_type='color'),
    dict(type='ToPIL'),
    dict(type='torchvision/Resize', size=(224, 224)),
    pack,
]
shuffled = dict(type='DefaultSampler', shuffle=True)
in_order = dict(type='DefaultSampler', shuffle=False)

# To [-1, 1]. The loader's channels are BGR.
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_dataloader = dict(
    **loader,
    sampler=shuffled,
    dataset=dict(**dataset, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(**dataset, split='val', pipeline=eval_pipeline, test_mode=True),
)
test_dataloader = dict(
    **loader,
    sampler=in_order,
    dataset=dict(
        **dataset, split=['val', 'test'], pipeline=eval_pipeline, test_mode=True
    ),
)
val_evaluator = dict(type='hpml_mm.FERMetric')
test_evaluator = dict(type='hpml_mm.FERMetric')
# GPUs times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=16)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, pack, train_pipeline, eval_pipeline, shuffled, in_order
