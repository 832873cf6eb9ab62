# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# hpml-2023's data: one folder Train, of which a seeded tenth is held out.
_base_ = './efficientnet-b0_1xb16-30e_fer2013-224px.py'

dataset = dict(data_root='{{$HPML_MM_DATA:data}}/fer2013_single', layout='single')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(split='val', **dataset))
val_evaluator = dict(split_names=dict(val='Held out'))
test_evaluator = dict(split_names=dict(val='Held out'))
del dataset
