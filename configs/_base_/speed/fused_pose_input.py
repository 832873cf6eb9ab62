# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# A leaf appends these: two bases cannot both hold `custom_hooks`.
input_hooks = [dict(type='hpml_mm.FastPoseInputHook', cache_gib=1.0)]
