# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-in for ``panopticapi``, which is on no package index.

MMDetection needs four names of it to read panoptic maps and to evaluate them. An
installed panopticapi goes first.
"""

from hpml_mm.compat import stand_in

# Module -> the one whose names it gets; none for the package itself.
SERVED = {
    'panopticapi': None,
    'panopticapi.evaluation': f'{__name__}.evaluation',
    'panopticapi.utils': f'{__name__}.utils',
}


def install_panopticapi() -> None:
    """Let ``import panopticapi`` find the stand-in where nothing else is found."""
    stand_in.install(SERVED)
