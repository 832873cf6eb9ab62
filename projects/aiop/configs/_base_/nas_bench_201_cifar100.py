# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The cells of nas_bench_201_cifar10.py, in the same division, with another label.
_base_ = '../../../../configs/_base_/datasets/nas_bench_201_cifar10.py'

train_dataloader = dict(dataset=dict(metric='cifar100/top1(%)'))
val_dataloader = dict(dataset=dict(metric='cifar100/top1(%)'))
test_dataloader = dict(dataset=dict(metric='cifar100/top1(%)'))
