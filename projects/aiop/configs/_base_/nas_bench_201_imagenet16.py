# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cells of nas_bench_201_cifar10.py, in the same division. The labels are for images
# of 16 pixels, the graphs as those of the other labels for 32.
_base_ = '../../../../configs/_base_/datasets/nas_bench_201_cifar10.py'

train_dataloader = dict(dataset=dict(metric='imagenet16-120/top1(%)'))
val_dataloader = dict(dataset=dict(metric='imagenet16-120/top1(%)'))
test_dataloader = dict(dataset=dict(metric='imagenet16-120/top1(%)'))
