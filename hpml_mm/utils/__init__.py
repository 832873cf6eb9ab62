# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Helpers without dependencies on other packages of this project."""
