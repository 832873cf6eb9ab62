# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
custom_imports = dict(imports=['toy_parts'], allow_failed_imports=False)
default_scope = 'mmengine'

points = 24
model = dict(type='ToyClassifier')
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ToyPoints', size=points),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyPoints', size=12),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ToyAccuracy')
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = {}
test_cfg = {}

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
    dict(type='MultiStepLR', milestones=[1]),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=2),
    checkpoint=dict(type='CheckpointHook', interval=1),
)
custom_hooks = [
    dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=2),
    dict(type='hpml_mm.DataLoadRatioHook', interval=2),
    dict(type='hpml_mm.ProgressHook'),
    dict(type='hpml_mm.GracefulStopHook'),
    dict(type='hpml_mm.SummaryHook'),
]
visualizer = dict(
    type='Visualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
randomness = dict(seed=0)
