# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The search spaces of TransNAS-Bench-101."""
