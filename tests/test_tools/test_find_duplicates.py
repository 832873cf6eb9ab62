# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpml_mm.cli import main
from hpml_mm.datasets.fer.convert import folder_to_csv, write_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def find(capsys) -> Callable[..., str]:
    """Run the tool and return what it prints."""

    def run(*arguments) -> str:
        main(['data', 'duplicates', *map(str, arguments)])
        return capsys.readouterr().out

    return run


@pytest.fixture
def faces(tmp_path) -> Path:
    """One face of each class in two splits, and four copies."""

    def face(grey: int) -> np.ndarray:
        return np.full((48, 48), grey, np.uint8)

    items = [(face(i), 'train', i, '0.png') for i in range(7)]
    items += [(face(100 + i), 'val', i, '0.png') for i in range(7)]
    items += [
        (face(0), 'train', 0, '1.png'),  # a plain copy
        (face(100), 'train', 0, '2.png'),  # across splits
        (face(3), 'train', 4, '1.png'),  # conflicting
        (face(105), 'train', 6, '1.png'),  # across splits and conflicting
    ]
    write_folder(items, tmp_path / 'faces')
    return tmp_path / 'faces'


COUNTS = {
    'groups': 4,
    'crossing': 2,
    'conflicting': 2,
    'crossing_and_conflicting': 1,
    'surplus': 4,
}


@pytest.mark.slow
def test_groups_of_a_folder_are_reported_and_listed(find, faces):
    output = find(faces)
    lines = [line.strip() for line in output.splitlines()]
    assert '18 faces, of which 4 repeat another one' in lines
    assert '4 groups of pixel-identical faces' in lines
    assert '2 of them across splits' in lines
    assert '2 of them with conflicting labels' in lines
    assert f'val   Angry    {faces}/val/Angry/0.png' in lines
    content = json.loads(find(faces, '--json'))
    assert content['counts'] == COUNTS
    both = [
        group['faces']
        for group in content['groups']
        if group['crosses_splits'] and group['conflicting_labels']
    ]
    assert [[(f['split'], f['class']) for f in group] for group in both] == [
        [('train', 'Neutral'), ('val', 'Surprise')]
    ]


@pytest.mark.slow
def test_a_csv_file_gives_the_same_counts(find, faces, tmp_path):
    folder_to_csv(faces, tmp_path / 'faces.csv')
    found = json.loads(find(tmp_path / 'faces.csv', '--json'))
    assert found['counts'] == COUNTS


@pytest.mark.slow
def test_a_damaged_image_is_named_or_left_out(find, faces, capsys):
    (faces / 'val' / 'Sad' / 'x.jpg').touch()
    with pytest.raises(SystemExit):
        find(faces)
    assert 'val/Sad/x.jpg is empty' in capsys.readouterr().err
    assert '18 faces, of which 4' in find(faces, '--on-error', 'skip')


@pytest.mark.slow
@pytest.mark.real_data
def test_fer2013_holds_its_known_duplicates(find, real_data):
    content = json.loads(find(real_data / 'fer2013', '--json'))
    assert content['faces'] == 28709 + 3589
    counts = content['counts']
    assert (counts['groups'], counts['crossing'], counts['conflicting']) == (
        1273,
        270,
        47,
    )
