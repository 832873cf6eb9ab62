# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Persons of Leeds Sports Pose, of its extension and of MPII, as they are published."""
