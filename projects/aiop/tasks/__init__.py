# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors over the seven tasks of TransNAS-Bench-101, compared."""
