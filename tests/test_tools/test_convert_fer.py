# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpml_mm.cli import main
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.datasets.fer.convert import csv_to_folder, folder_to_csv

ROOT = Path(__file__).parents[2]


def convert(source, target, *options) -> None:
    words = map(str, (source, '--out', target, *options))
    main(['data', 'convert', *words])


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Do what must be refused; return what is said."""

    def refused(*arguments) -> str:
        with pytest.raises(SystemExit) as caught:
            convert(*arguments)
        assert caught.value.code == 2
        return capsys.readouterr().err

    return refused


@pytest.fixture
def csv_file(tmp_path) -> Path:
    """Random faces, labels out of order, in all three splits."""
    rng = np.random.default_rng(0)
    lines = ['emotion,pixels,Usage']
    for usage, count in (('Training', 21), ('PublicTest', 14), ('PrivateTest', 5)):
        for label in rng.permutation(count) % 7:
            pixels = ' '.join(map(str, rng.integers(0, 256, 2304)))
            lines.append(f'{label},{pixels},{usage}')
    path = tmp_path / 'fer2013.csv'
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_csv_to_folder_and_back_is_the_same_file(csv_file, tmp_path, capsys):
    folder, again = tmp_path / 'faces', tmp_path / 'again.csv'
    convert(csv_file, folder)
    assert capsys.readouterr().out == f'wrote 40 faces to {folder}, left out 0\n'
    convert(folder, again)
    assert again.read_bytes() == csv_file.read_bytes()


def test_folder_to_csv_and_back_keeps_pixels_labels_and_splits(tmp_path, csv_file):
    folder, again = tmp_path / 'faces', tmp_path / 'again'
    csv_to_folder(csv_file, folder)
    for number, path in enumerate(sorted(folder.rglob('*.png'))):
        path.rename(path.with_name(f'{number * 7919 % 1000}.png'))
    folder_to_csv(folder, tmp_path / 'b.csv')
    csv_to_folder(tmp_path / 'b.csv', again)
    for split in ('train', 'val', 'test'):
        for name in FER_CLASSES:
            before, after = (
                sorted(
                    cv2.imread(str(p), cv2.IMREAD_UNCHANGED).tobytes()
                    for p in (root / split / name).iterdir()
                )
                for root in (folder, again)
            )
            assert before == after


def test_nothing_is_overwritten(csv_file, tmp_path, refused):
    before = csv_file.read_bytes()
    csv_to_folder(csv_file, tmp_path / 'faces')
    said = refused(tmp_path / 'faces', csv_file)
    assert re.match(r'error: .*fer2013\.csv exists already', said)
    assert csv_file.read_bytes() == before
    with pytest.raises(FileExistsError, match='faces exists already'):
        csv_to_folder(csv_file, tmp_path / 'faces')


def test_an_error_leaves_nothing_behind(csv_file, tmp_path):
    folder = tmp_path / 'faces'
    csv_to_folder(csv_file, folder)
    bad = folder / 'val' / 'Sad' / 'zzz.png'
    bad.write_bytes(b'\x89PNG')
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r'zzz\.png is truncated'):
        folder_to_csv(folder, tmp_path / 'b.csv')
    assert sorted(tmp_path.iterdir()) == before
    assert folder_to_csv(folder, tmp_path / 'b.csv', on_error='skip') == (40, 1)


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (np.zeros((40, 48), np.uint8), r'x\.png is 48 x 40 pixels.*48 x 48 only'),
        (np.full((48, 48, 3), (1, 2, 3), np.uint8), r'x\.png is in colour.*grey only'),
    ],
)
def test_what_the_csv_cannot_hold_is_refused(csv_file, tmp_path, image, message):
    csv_to_folder(csv_file, tmp_path / 'faces')
    cv2.imwrite(str(tmp_path / 'faces' / 'train' / 'Fear' / 'x.png'), image)
    with pytest.raises(ValueError, match=message):
        folder_to_csv(tmp_path / 'faces', tmp_path / 'b.csv')


def test_a_bad_row_ends_the_conversion_or_is_left_out(csv_file, tmp_path, refused):
    csv_file.write_text(csv_file.read_text() + '7,1 2,Training\n')
    said = refused(csv_file, tmp_path / 'faces')
    assert re.match("error: .*row 41: emotion is '7'", said)
    assert not (tmp_path / 'faces').exists()
    assert csv_to_folder(csv_file, tmp_path / 'faces', on_error='skip') == (40, 1)


@pytest.mark.parametrize(
    ('source', 'target', 'message'),
    [
        ('none', 'x.csv', 'error: there is no folder .*none'),
        ('.', 'x', r'error: .* is a folder, so .*x must end in \.csv'),
        ('none.csv', 'x', r"error: there is no CSV file '.*none\.csv'"),
    ],
)
def test_an_impossible_request_is_one_line(tmp_path, source, target, message, refused):
    assert re.match(message, refused(tmp_path / source, tmp_path / target))
