# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Layers that stay in fp32 in mixed precision, because they are faster so."""
