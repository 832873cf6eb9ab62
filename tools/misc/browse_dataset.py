# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Show a data set: ``hpml data browse`` under the name that OpenMMLab gives it."""

import sys

from hpml_mm.cli import main

if __name__ == '__main__':
    main(['data', 'browse', *sys.argv[1:]])
