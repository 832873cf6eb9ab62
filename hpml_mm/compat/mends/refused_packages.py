# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Refuse a set of packages with which MMEngine would fail later."""

from types import ModuleType

from hpml_mm.compat.packages import check_packages


def mend(module: ModuleType) -> None:
    """Check the packages that are installed beside MMEngine."""
    check_packages()
