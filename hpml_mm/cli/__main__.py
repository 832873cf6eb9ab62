# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run ``hpml`` as ``python -m hpml_mm.cli``."""

from hpml_mm.cli import main

main()
