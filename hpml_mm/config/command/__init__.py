# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The command that runs: its words, and its errors in one line."""
