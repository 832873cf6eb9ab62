# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# The baseline.
_base_ = '../_base_/coco/hrnet_w32.py'
