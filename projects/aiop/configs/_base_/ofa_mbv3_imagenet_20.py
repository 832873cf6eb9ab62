# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# 20 networks to train on, one a step. None is left to choose an epoch by: what is
# validated is the test part, once, after the last step.
dataset = dict(
    type='hpml_mm.GraphDataset',
    cache='{{$HPML_MM_GRAPHS:work_dirs/graphs}}/ofa-mbv3-w1.0.safetensors',
    metric='imagenet/top1(%)',
    train=20,
    dev=0.0,
)
# A batch is made as a whole, in less than a millisecond: no worker would be faster.
loader = dict(batch_size=1, num_workers=0, collate_fn=dict(type='hpml_mm.keep_batch'))
in_order = dict(type='DefaultSampler', shuffle=False)

train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, part='train'),
)
val_dataloader = dict(**loader, sampler=in_order, dataset=dict(**dataset, part='test'))
test_dataloader = dict(**loader, sampler=in_order, dataset=dict(**dataset, part='test'))
val_evaluator = dict(type='hpml_mm.ScoreMetric')
test_evaluator = dict(type='hpml_mm.ScoreMetric')
# Processes times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=1)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, in_order
