# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-in for ``xtcocotools``, by which MMPose reads and evaluates COCO's files.

Its wheels are built for NumPy 1 and Python 3.11 at most, and its sources need a
compiler, and a Python below 3.13. What it adds to pycocotools, which has wheels for all
of them, is here in Python. An installed xtcocotools goes first.
"""

from hpml_mm.compat import stand_in

# Module -> the one whose names it gets; none for the package itself.
SERVED = {
    'xtcocotools': None,
    'xtcocotools.coco': f'{__name__}.coco',
    'xtcocotools.cocoeval': f'{__name__}.cocoeval',
    'xtcocotools.mask': 'pycocotools.mask',
}


def install_xtcocotools() -> None:
    """Let ``import xtcocotools`` find the stand-in where nothing else is found."""
    stand_in.install(SERVED)
