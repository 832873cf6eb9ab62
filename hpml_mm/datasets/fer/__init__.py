# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces: folders, CSV files, drawn ones, and arrays of them."""
