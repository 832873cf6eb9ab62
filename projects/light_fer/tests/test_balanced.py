# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The same predictions on light FER's balanced table."""

import json

import numpy as np
import pytest
from toy_tools import call_tool

from hpml_mm.experiments.rows import read_results
from projects.light_fer.balanced import Split, rows_of


def records(**counts):
    """Of each class a number of hits and of misses."""
    return [
        {'image': f'{name}.png', 'folder_class': name, 'class': name if hit else 'Sad'}
        for name, (hits, misses) in counts.items()
        for hit in [True] * hits + [False] * misses
    ]


# A tenth of the whole table's two classes, nearly.
SPLIT = records(Disgust=(11, 44), Happy=(720, 180), Angry=(50, 50))


def test_the_official_accuracy():
    assert Split.of(SPLIT).accuracy == pytest.approx(100 * 781 / 1055)


def test_a_draw_has_the_expected_sizes_and_hits():
    rng = np.random.default_rng(0)
    drawn = [Split.of(SPLIT).drawn(rng) for _ in range(400)]
    # 4,211 of 547 with replacement: 55 of them 423 times, a fifth of these hits.
    assert np.mean([d.sizes['Disgust'] for d in drawn]) == pytest.approx(
        423.4, rel=0.02
    )
    assert np.mean([d.hits['Disgust'] for d in drawn]) == pytest.approx(84.7, rel=0.03)
    # 4,211 of 8,989 without: 900 of them 422 times, four fifths hits.
    assert np.mean([d.sizes['Happy'] for d in drawn]) == pytest.approx(421.6, rel=0.02)
    assert np.mean([d.hits['Happy'] for d in drawn]) == pytest.approx(337.3, rel=0.02)
    assert all(d.sizes['Happy'] <= 900 for d in drawn)
    assert all(d.hits['Angry'] == 50 and d.sizes['Angry'] == 100 for d in drawn)


def test_rows_hold_the_difference():
    official, balanced, difference = rows_of(
        Split.of(SPLIT), 50, ['-m', 'x', '--draws']
    )
    assert official.n == 1
    assert balanced.is_mean
    assert balanced.n == 50
    assert difference.value == pytest.approx(balanced.value - official.value)
    # Four fifths of Disgust are wrong, and it is eight times as frequent now.
    assert difference.value < -20


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ([{'image': 'a.png', 'class': 'Sad'}], 'a.png has no folder_class'),
        (records(Happy=(3, 0)), '0 faces of Disgust'),
        (records(Happy=(1, 0), Disgust=(600, 0)), '600 faces of Disgust'),
    ],
)
def test_predictions_of_something_else(found, message):
    with pytest.raises(ValueError, match=message):
        Split.of(found)


def test_the_command(tmp_path):
    (tmp_path / 'public.json').write_text(json.dumps(SPLIT))
    words = ('public.json', '--draws', 5, '--rows', 'a.csv')
    done = call_tool('projects.light_fer.balanced', *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_results(tmp_path / 'a.csv')
    assert [row.experiment for row in rows] == [
        'fer-balanced/official',
        *['fer-balanced/balanced'] * 2,
    ]
