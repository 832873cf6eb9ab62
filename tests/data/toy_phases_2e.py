# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './toy_2e.py'
custom_imports = dict(imports=['toy_parts', 'toy_phases'], allow_failed_imports=False)

train_dataloader = dict(dataset=dict(type='DyingPoints'))
# With a second for each batch, a validation of 40 s.
val_dataloader = dict(
    batch_size=1,
    dataset=dict(type='DyingPoints', size=40, victim='val_worker'),
)
val_evaluator = dict(type='SlowAccuracy')
custom_hooks = [
    dict(type='PhaseHook'),
    dict(type='hpml_mm.GracefulStopHook'),
    dict(type='hpml_mm.SummaryHook'),
]
visualizer = dict(vis_backends=[])
