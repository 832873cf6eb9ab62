# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What every other package may use, and which uses none of them."""
