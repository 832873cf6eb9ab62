# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A leaf appends these: two bases cannot both hold `custom_hooks`.
speed_hooks = [
    dict(
        type='hpml_mm.SpeedHook',
        channels_last=True,
        optimizer='auto',
        wide_batch_norm=True,
    ),
    dict(type='hpml_mm.AmpHook', dtype='bfloat16'),
]
