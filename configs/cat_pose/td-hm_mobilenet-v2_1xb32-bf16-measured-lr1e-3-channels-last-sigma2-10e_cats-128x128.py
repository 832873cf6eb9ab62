# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = (
    './td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py'
)

hooks = {hook.type: hook for hook in _base_.custom_hooks}
hooks['hpml_mm.AmpHook'].layers = 'measured'
custom_hooks = _base_.custom_hooks
del hooks
