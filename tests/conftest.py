# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """Root of the real data sets; the test is skipped where there is none."""
    root = Path(os.environ.get('HPML_MM_DATA', 'data'))
    if not root.is_dir():
        pytest.skip(f'no real data at {root.resolve()}; set HPML_MM_DATA')
    return root.resolve()
