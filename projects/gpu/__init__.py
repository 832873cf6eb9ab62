# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Proof on a GPU of what was measured on CPUs."""
