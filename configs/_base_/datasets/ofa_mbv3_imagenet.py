# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# 1,862 networks. Four fifths to train on, of which a tenth chooses the best epoch.
dataset = dict(
    type='hpml_mm.GraphDataset',
    cache='{{$HPML_MM_GRAPHS:work_dirs/graphs}}/ofa-mbv3-w1.0.safetensors',
    metric='imagenet/top1(%)',
    train=0.8,
    dev=0.1,
)
# A batch is made as a whole, in less than a millisecond: no worker would be faster.
loader = dict(batch_size=32, num_workers=0, collate_fn=dict(type='hpml_mm.keep_batch'))
in_order = dict(type='DefaultSampler', shuffle=False)

train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, part='train'),
)
val_dataloader = dict(**loader, sampler=in_order, dataset=dict(**dataset, part='dev'))
test_dataloader = dict(**loader, sampler=in_order, dataset=dict(**dataset, part='test'))
val_evaluator = dict(type='hpml_mm.ScoreMetric')
test_evaluator = dict(type='hpml_mm.ScoreMetric')
# Processes times batch size that the learning rates are meant for.
auto_scale_lr = dict(base_batch_size=32)

# These names end here: an override of one of them would reach nothing above.
del dataset, loader, in_order
