# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Readers of what a report shows. They never stop at a damaged file: they list it."""
