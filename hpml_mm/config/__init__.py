# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks on configs: unknown keys, file names, work directories."""
