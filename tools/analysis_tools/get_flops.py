# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Count MACs: ``hpml nas profile`` under the name that OpenMMLab gives it."""

import sys

from hpml_mm.cli import main

if __name__ == '__main__':
    main(['nas', 'profile', *sys.argv[1:]])
