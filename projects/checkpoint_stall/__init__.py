# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Time that saving a checkpoint takes from training."""
