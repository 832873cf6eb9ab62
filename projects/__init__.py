# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Research whose rows are in ``results/``; not part of the package."""
