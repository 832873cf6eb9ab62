# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P over tasks: a base, adapters for two tasks, twenty labels of a third.

Networks are those of TransNAS-Bench-101, each with the decoder of the task that it is
predicted for.
"""
