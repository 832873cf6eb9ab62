# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training: precision, speed, weights, resuming, CPU set-up, profiling, and hooks."""
