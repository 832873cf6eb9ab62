# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# MMPretrain's own, with seven classes. Unlike torchvision's it has no dropout.
_base_ = 'mmpretrain::_base_/models/efficientnet_b0.py'

# With the accuracy of each training batch in the log.
model = dict(head=dict(num_classes=7, topk=(1,), cal_acc=True))
# What a leaf's name leaves unsaid: see configs/README.md.
name_defaults = dict(optimizer='adam', workers=4)
