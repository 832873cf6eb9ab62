# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A leaf appends these: two bases cannot both hold `custom_hooks`. The average is what
# is validated and saved. It follows closely at first (gamma), then over about 1,000
# steps; BatchNorm statistics are averaged as well, or they would not fit the weights.
averaging_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.001,
        gamma=10,
        update_buffers=True,
    ),
]
