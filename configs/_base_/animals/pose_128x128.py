# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Poses of voc_animals' five species: those of the cats, but for data and keypoints.
_base_ = '../topdown/cats_128x128.py'

codec = dict(sigma=2.0)
model = dict(head=dict(out_channels=20, decoder=codec))
dataset = dict(
    type='hpml_mm.AnimalKeypointDataset',
    data_root='{{$HPML_MM_DATA:data}}/voc_animals',
)
train_pipeline = _base_.train_dataloader.dataset.pipeline
steps = {step.type: step for step in train_pipeline}
steps['GenerateTarget'].encoder.update(codec)
val_data = dict(dataset=dict(**dataset, ann_file='annotations/instances_val.json'))
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = val_data
test_dataloader = val_data
auto_scale_lr = dict(base_batch_size=32)
name_defaults = dict(lr=1e-3, sigma=2.0)
del dataset, train_pipeline, steps, val_data
