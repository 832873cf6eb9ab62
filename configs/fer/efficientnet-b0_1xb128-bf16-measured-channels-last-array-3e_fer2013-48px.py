# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './efficientnet-b0_1xb128-bf16-channels-last-array-3e_fer2013-48px.py'

hooks = {hook.type: hook for hook in _base_.custom_hooks}
hooks['hpml_mm.AmpHook'].layers = 'measured'
custom_hooks = _base_.custom_hooks
del hooks
