# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
# Its equations 4 and 5. The adapters start from this.
_base_ = './aiop-gnn_1xb32-40e_nas-bench-201-cifar10-32px.py'

model = dict(scaling='stand_flops')
