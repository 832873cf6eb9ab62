# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The space of light FER's search, with its epochs as shares of its 300.
space = {
    'optim_wrapper.optimizer': dict(
        type='choice',
        choices=dict(
            sgd=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-3),
            adam=dict(type='Adam', lr=0.01, weight_decay=5e-3),
        ),
    ),
    'optim_wrapper.optimizer.lr': dict(
        type='choice', choices=[0.1, 0.05, 0.01, 0.005, 0.001]
    ),
    'param_scheduler.0.start': dict(
        type='choice', choices=[80 / 300, 100 / 300, 120 / 300, 150 / 300]
    ),
    'param_scheduler.0.every': dict(
        type='choice', choices=[5 / 300, 10 / 300, 15 / 300]
    ),
    'param_scheduler.0.rate': dict(type='choice', choices=[0.8, 0.85, 0.9, 0.95]),
}
