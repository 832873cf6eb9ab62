# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Train a config: ``hpml train`` under the name that OpenMMLab gives it."""

import sys

from hpml_mm.cli import main

if __name__ == '__main__':
    main(['train', *sys.argv[1:]])
