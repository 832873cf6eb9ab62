# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# 56,951 parameters. The momentum is .1 rather than the class's default .01: these
# recipes take few thousand steps, and an average over a hundred lags behind them.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='hpml_mm.MiniXception', in_channels=1, bn_momentum=0.1),
    # With the accuracy of each training batch in the log.
    head=dict(type='hpml_mm.ConvClsHead', in_channels=128, num_classes=7, cal_acc=True),
)
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='sgd-nesterov', workers=2)
