# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Arithmetic of measurements: numbers in, dicts out, without hooks or runner."""
