# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Gaussian process on statistics of a graph."""
