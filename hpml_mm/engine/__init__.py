# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Code around and inside a training step."""
