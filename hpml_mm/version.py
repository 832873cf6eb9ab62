# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Version of the package."""

__version__ = '0.2.0.dev0'
