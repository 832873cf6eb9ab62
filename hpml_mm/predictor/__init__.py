# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Performance predictor of networks; imports without mmpose.

Imports go downwards: graphs < spaces < data < gp, gnn < tasks and the modules of this
folder. A table in ``data`` does not know the models that are trained on it.
"""
