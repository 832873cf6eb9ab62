# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'

dataset = dict(type='hpml_mm.FERCSVDataset', ann_file='fer2013.csv')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset
