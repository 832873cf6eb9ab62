# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Labelled networks: tables, graphs, and their division."""
