# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pure measurement arithmetic: numbers in, dicts out; no hooks in here."""
