# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Test a checkpoint: ``hpml test`` under the name that OpenMMLab gives it."""

import sys

from hpml_mm.cli import main

if __name__ == '__main__':
    main(['test', *sys.argv[1:]])
