# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
_base_ = './td-hm_hrnet-w32_1xb32-bf16-channels-last-fused-input-210e_coco-256x192.py'

hooks = {hook.type: hook for hook in _base_.custom_hooks}
hooks['hpml_mm.AmpHook'].layers = 'measured'
custom_hooks = _base_.custom_hooks
del hooks
