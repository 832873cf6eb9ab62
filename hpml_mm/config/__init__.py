# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs: loading, overrides, checks of keys and schedules, work directories."""
