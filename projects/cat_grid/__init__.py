# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The table of the cat ablation."""
