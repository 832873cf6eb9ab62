# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every committed results file holds what it must, and its ratios are right."""

from pathlib import Path

import pytest

from hpml_mm.experiments.rows import read_results

FOLDER = Path(__file__).parents[2] / 'results'
FILES = sorted(FOLDER.glob('*.csv'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_columns_values_and_ratios(path):
    """Reading recomputes each ratio and wants n, and a spread where n > 1."""
    assert read_results(path)


def test_there_are_results():
    assert FILES


def test_results_lie_flat():
    assert [p for p in FOLDER.rglob('*.csv') if p.parent != FOLDER] == []
