# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Persons of LSPET, as AIO-P trains on them, but at half its size, with a quarter of the
# head's channels, and with a split of our own: LSPET has no validation images.
_base_ = './cats_128x128.py'

codec = dict(sigma=2.0)
model = dict(
    head=dict(out_channels=14, deconv_out_channels=[64, 64, 64], decoder=codec),
    # HeatmapPCK looks at them.
    test_cfg=dict(output_heatmaps=True),
)
dataset = dict(
    type='hpml_mm.LSPETDataset',
    data_root='{{$HPML_MM_DATA:data}}/lspet',
    ann_file='lspet_train.json',
)
train_pipeline = _base_.train_dataloader.dataset.pipeline
steps = {step.type: step for step in train_pipeline}
# Twice and once the source's standard deviations, at which it clips.
steps['RandomBBoxTransform'].update(scale_factor=(0.75, 1.25), rotate_factor=60)
steps['GenerateTarget'].encoder.update(codec)
val_data = dict(dataset=dict(**dataset, split='val'))
metrics = [dict(type='hpml_mm.HeatmapPCK'), dict(type='hpml_mm.KeypointPCK')]

train_dataloader = dict(
    batch_size=32,
    dataset=dict(**dataset, split='train', pipeline=train_pipeline),
)
val_dataloader = val_data
test_dataloader = val_data
val_evaluator = metrics
test_evaluator = metrics
auto_scale_lr = dict(base_batch_size=32)
name_defaults = dict(lr=1e-3, sigma=2.0)
del dataset, train_pipeline, steps, val_data, metrics
