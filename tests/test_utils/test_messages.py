# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""No message repeats a user's file: it names a few values and how many more."""

import json

import pytest

from hpml_mm.datasets.fer.csv_dataset import parse_label, parse_usage, read_rows
from hpml_mm.datasets.pose.coco_annotations import read_annotations
from hpml_mm.deploy.prediction_files import read_boxes
from hpml_mm.deploy.spec import DeploySpec
from hpml_mm.experiments.rows import RESULT_COLUMNS, read_results
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.spaces import SPACES, get_space
from hpml_mm.predictor.spaces.tables import read_table
from hpml_mm.utils.messages import listed, shortened, shown


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (shortened('a' * 200), 'a' * 200),
        (shortened('a' * 201), 'a' * 197 + '...'),
        (shown('a'), "'a'"),
        (shown(['a', 1]), "['a', 1]"),
        (shown('a' * 58), f"'{'a' * 58}'"),
        (shown('a' * 10**6), f"'{'a' * 56}..."),
        (shown([7] * 10**5), f'[{"7, " * 18}7,...'),
        (listed([]), ''),
        (listed(['a', 'b']), 'a, b'),
        (listed('abcdefgh'), 'a, b, c, d, e, f and 2 more'),
        (listed({'a' * 70: 1}), 'a' * 57 + '...'),
    ],
)
def test_long_values_are_cut(text, expected):
    assert text == expected


LONG = 'x' * 100_000
MANY = ','.join(f'column{number}' for number in range(10_000))
RESULTS = ','.join(RESULT_COLUMNS)


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / 'a.csv'
        path.write_text(text, encoding='utf-8')
        return path

    return write


def table_of(space):
    return lambda path: read_table(path, space)


@pytest.mark.parametrize(
    'line', [LONG, MANY, json.dumps([LONG]), json.dumps({LONG: 1})]
)
@pytest.mark.parametrize(
    'read',
    [
        ArchTable.read,
        read_results,
        table_of('ofa-resnet50'),
        table_of('nas-bench-101'),
        table_of('nas-bench-201'),
        table_of('nas-bench-macro'),
        lambda path: list(read_rows(path)),
        lambda path: read_annotations(str(path)),
        read_boxes,
        lambda path: DeploySpec.from_json(path.read_text(), str(path)),
    ],
)
def test_a_long_first_line_is_not_repeated(written, read, line):
    path = written(f'{line}\n1\n')
    with pytest.raises(ValueError, match=path.name) as caught:
        read(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ('text', 'read'),
    [
        (f'arch\n{LONG}\n', ArchTable.read),
        (
            f'arch\n{LONG}\n',
            lambda path: [*ArchTable.read(path, space='ofa-resnet50').graphs()],
        ),
        (f'arch,acc\na,{LONG}\n', table_of('ofa-resnet50')),
        (json.dumps({LONG: {}}), table_of('nas-bench-macro')),
        (json.dumps({LONG: 1}), read_boxes),
        (json.dumps({'a': [[LONG]]}), read_boxes),
        (f'{RESULTS}\na,a,a,{LONG}{"," * 10}\n', read_results),
    ],
)
def test_a_long_cell_is_not_repeated(written, text, read):
    path = written(text)
    with pytest.raises(ValueError, match=path.name) as caught:
        read(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize(
    'form', [LONG, f'[{LONG}', f'["{LONG}"]', LONG.replace('x', '3-4;'), f'd={LONG}']
)
def test_a_long_arch_is_not_repeated(space, form):
    with pytest.raises(ValueError, match=space) as caught:
        get_space(space).decode(form)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize('parse', [parse_label, parse_usage])
def test_a_long_value_of_a_face_is_not_repeated(parse):
    with pytest.raises(ValueError, match='xxx') as caught:
        parse(LONG)
    assert len(str(caught.value)) < 1000
