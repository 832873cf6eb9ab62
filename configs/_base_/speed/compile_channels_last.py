# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A leaf appends these: two bases cannot both hold `custom_hooks`. In fp32: on a CPU the
# compiler gains as much there as bf16 does without it (EfficientNet-B0).
speed_hooks = [
    dict(type='hpml_mm.SpeedHook', channels_last=True, compile=True, optimizer='auto'),
]
