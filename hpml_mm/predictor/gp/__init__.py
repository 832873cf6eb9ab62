# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Gaussian process regression on statistics of graphs."""
