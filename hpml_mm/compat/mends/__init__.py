# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mends of faults that stock packages show with the libraries of today."""

# Stock module -> what mends it. Each looks for the fault and not for a version, and
# leaves alone what is right.
MENDS = {
    # imports imgaug, which is dead, whatever is used of mmdet.datasets
    'mmdet.datasets.transforms.generate_line': 'hpml_mm.compat.mends.imgaug',
}
