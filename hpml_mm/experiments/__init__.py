# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Results of experiments: rows, tables, summaries, and sweeps that make them."""
