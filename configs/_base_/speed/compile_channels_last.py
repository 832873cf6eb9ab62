# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A leaf appends these: two bases cannot both hold `custom_hooks`. On a CPU the compiler
# makes fp32 faster than bf16 for networks of many small layers (EfficientNet).
speed_hooks = [
    dict(type='hpml_mm.SpeedHook', channels_last=True, compile=True, optimizer='auto'),
]
