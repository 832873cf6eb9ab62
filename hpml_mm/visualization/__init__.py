# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pictures of confusion matrices and poses."""
