# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Lines that a run shows on the screen, and keeping all others off it."""
