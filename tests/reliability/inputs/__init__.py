# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Files of every kind that is read, and ways to damage them."""
