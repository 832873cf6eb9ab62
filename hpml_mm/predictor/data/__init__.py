# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Labelled networks: tables, caches of their graphs, and their splits."""
