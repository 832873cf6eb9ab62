# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Figures that a report computes from what it has read: numbers in, numbers out."""
