# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convert FER2013: ``hpml data convert`` where OpenMMLab has its converters."""

import sys

from hpml_mm.cli import main

if __name__ == '__main__':
    main(['data', 'convert', *sys.argv[1:]])
