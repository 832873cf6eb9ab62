# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Helpers that every other package may use, and that use none of them."""
