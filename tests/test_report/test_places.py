# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search of folders, and the command that makes a page of all that they hold."""

import json
from pathlib import Path
from unittest import mock

import pytest
from made_runs import START, made_lines, write_lines, write_run
from PIL import Image
from toy_tools import call_tool

from hpml_mm.experiments.rows import RESULT_COLUMNS
from hpml_mm.report.build import read_report
from hpml_mm.report.reading.places import find
from hpml_mm.report.reading.studies import without_password

ROW = 'e/a,throughput(img/s),img/s,2,,1,,,c,abc,CPU,2,2026-01-01'


def write_rows(path, *rows):
    path.write_text('\n'.join([','.join(RESULT_COLUMNS), *rows]) + '\n')
    return path


def test_runs_are_found_at_any_depth_and_once(tmp_path):
    write_run(tmp_path / 'a' / 'seed0')
    write_run(tmp_path / 'a')
    (tmp_path / 'a' / 'start2').mkdir()
    (tmp_path / 'a' / 'start2' / 'events.out.tfevents.1').touch()
    write_run(tmp_path / '.hidden')
    (tmp_path / 'empty').mkdir()
    found = find([str(tmp_path), str(tmp_path / 'a')])
    assert found.runs == [tmp_path / 'a', tmp_path / 'a' / 'seed0']


@pytest.mark.parametrize('name', ['gone', 'gone.csv'])
def test_a_place_that_is_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        find([str(tmp_path / name)])


def test_a_place_with_nothing_to_show(tmp_path):
    (tmp_path / 'a.txt').touch()
    with pytest.raises(ValueError, match='no run, results file or study'):
        find([str(tmp_path)])


def test_bad_rows_are_listed_and_good_ones_kept(tmp_path):
    path = write_rows(tmp_path / 'a.csv', ROW, ROW.replace(',2,,1', ',two,,1'), ROW)
    bare = tmp_path / 'bare.csv'
    bare.write_text('experiment,metric,unit,value,spread,n\n')
    zero = tmp_path / 'zero.csv'
    zero.write_bytes(path.read_bytes()[:-20] + b'\0\n')
    other = tmp_path / 'other.csv'
    other.write_text('a,b\n1,2\n')
    data = read_report([str(tmp_path)], 'a', 'b')
    assert [(row.file, row.line) for row in data.rows] == [
        (str(path), 2),
        (str(path), 4),
    ]
    assert {Path(p.place).name for p in data.problems} == {
        'a.csv:3',
        'bare.csv',
        'zero.csv, line 4',
    }
    assert 'other.csv' in data.notes[0]
    named = read_report([str(path), str(other)], 'a', 'b')
    assert f'{other}' in {p.place for p in named.problems}


def test_a_run_that_cannot_be_read_at_all_is_listed(tmp_path):
    write_run(tmp_path / 'a')
    for name, summary in (('b', {'status': 'finished', 'train': [3]}), ('c', [])):
        write_run(tmp_path / name)
        (tmp_path / name / 'summary.json').write_text(json.dumps(summary))
    write_run(tmp_path / 'd')
    data = read_report([str(tmp_path)], 'a', 'b')
    assert [(run.id, run.name) for run in data.runs] == [(0, 'a'), (1, 'c'), (2, 'd')]
    assert [Path(p.place).relative_to(tmp_path).parts[0] for p in data.problems] == [
        'b',
        'c',
    ]


def test_runs_that_go_on_are_told(tmp_path):
    write_run(tmp_path / 'seed0')
    write_lines(tmp_path / 'seed1', made_lines(epochs=1))
    (note,) = read_report([str(tmp_path)], 'a', 'b').notes
    assert note.startswith('1 of 2 runs go on')


def test_jobs_without_a_work_directory_are_told(tmp_path):
    write_run(tmp_path / 'seed0')
    for name in ('seed1', 'seed2'):
        record = {'arguments': ['a.py'], 'config': 'a'}
        (tmp_path / f'{name}.json').write_text(json.dumps(record))
    (tmp_path / 'seed1.owner').write_text('')
    (tmp_path / 'seed2.log').write_text('error: no file\n')
    (tmp_path / 'other.json').write_text(json.dumps({'arguments': ['a.py']}))
    (tmp_path / 'other.log').write_text('')
    failed, queued = read_report([str(tmp_path)], 'a', 'b').notes
    place = tmp_path.name
    assert (
        failed == f'{place}/seed2 is failed and has no work directory: error: no file'
    )
    assert queued == f'1 jobs have not begun: {place}/seed1'


def test_predictions_beside_what_was_measured(tmp_path):
    lines = [
        'arch,predicted,predicted_std,measured',
        'a,1,.1,2',
        'b,2,,1',
        'c,4,,5',
        'd,,,1',
    ]
    path = tmp_path / 'p.csv'
    path.write_text('\n'.join(lines))
    data = read_report([str(path)], 'a', 'b')
    (found,) = data.predictions
    assert (found.n, found.mae, found.srcc) == (3, 1.0, 0.5)
    assert found.points[0] == ('a', 1, 0.1, 2)
    assert [p.place for p in data.problems] == [f'{path}:5']


def test_pictures_and_matrices_of_a_run(tmp_path):
    place = write_run(tmp_path / 'a')
    sheets = place / START / 'vis_data' / 'vis_image'
    sheets.mkdir()
    for step in (9, 10):
        Image.new('RGB', (900, 10 * step)).save(sheets / f'pose_worst_{step}.png')
    (place / 'confusion').mkdir()
    Image.new('RGB', (9, 9)).save(place / 'confusion' / 'val.png')
    Image.new('RGB', (9, 9)).save(place / 'confusion' / 'old.png')
    held = {'split': 'val', 'labels': ['a', 'b'], 'counts': [[1, 2], [3, 4]]}
    (place / 'confusion' / 'val.json').write_text(json.dumps(held))
    (place / 'confusion' / 'bad.json').write_text(json.dumps({**held, 'counts': [[1]]}))
    data = read_report([str(place)], 'a', 'b')
    (run,) = data.runs
    assert [(p.title, p.text) for p in run.pictures] == [
        ('pose_worst', 'step 10'),
        ('confusion/old', 'old.png'),
    ]
    assert all(p.uri.startswith('data:image/webp;base64,') for p in run.pictures)
    assert [(c.split, c.counts) for c in run.confusion] == [('val', ((1, 2), (3, 4)))]
    assert [p.place for p in data.problems] == [str(place / 'confusion' / 'bad.json')]


def test_pictures_beyond_the_size_of_a_page_are_counted(tmp_path, monkeypatch):
    place = write_run(tmp_path / 'a')
    (place / 'confusion').mkdir()
    for name in 'abc':
        Image.new('RGB', (9, 9)).save(place / 'confusion' / f'{name}.png')
    monkeypatch.setattr('hpml_mm.report.reading.pictures.MOST_BYTES', 150)
    data = read_report([str(place)], 'a', 'b')
    shown = len(data.runs[0].pictures)
    assert 0 < shown < 3
    assert data.notes == (
        f'{3 - shown} pictures are left out for the size of the page',
    )


@pytest.mark.slow
def test_each_file_of_200_runs_is_read_once(tmp_path):
    for number in range(200):
        write_run(
            tmp_path / f'{number // 5:02}' / f'seed{number % 5}',
            seed=number % 5,
            lr=number // 5,
        )
    opened = []
    read_text, read_bytes = Path.read_text, Path.read_bytes

    def counted(read):
        def again(path, *args, **kwargs):
            opened.append(path)
            return read(path, *args, **kwargs)

        return again

    with (
        mock.patch.object(Path, 'read_text', counted(read_text)),
        mock.patch.object(Path, 'read_bytes', counted(read_bytes)),
    ):
        data = read_report([str(tmp_path)], 'a', 'b')
    assert (len(data.runs), len(data.groups), data.problems) == (200, 40, ())
    assert len(set(opened)) == len(opened) == 400
    points = sum(len(c) for run in data.runs for c in run.curves.values())
    assert points == 200 * (2 * 8 + 4)


def test_curves_of_many_points_are_thinned(tmp_path):
    write_run(tmp_path / 'a', made_lines(epochs=40, interval=1))
    (run,) = read_report([str(tmp_path)], 'a', 'b').runs
    steps = [point.step for point in run.curves['train/loss']]
    assert (len(steps), steps[0], steps[-1]) == (300, 1, 400)


def test_a_page_of_the_command(tmp_path):
    write_run(tmp_path / 'runs' / 'seed0')
    write_lines(tmp_path / 'runs' / 'seed1', made_lines(epochs=1))
    write_rows(tmp_path / 'rows.csv', ROW, 'bad')
    done = call_tool('report', 'runs', 'rows.csv', '--out', 'page', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'page/index.html: 2 runs, 1 result row, 0 studies' in done.stdout
    assert 'left out: rows.csv:3' in done.stdout
    assert (tmp_path / 'page' / 'index.html').stat().st_size > 10_000


def test_no_password_gets_onto_a_page():
    assert without_password('mysql://me:secret@host/db') == 'mysql://me:***@host/db'
    assert without_password('sqlite:////a/b:c@d.db') == 'sqlite:////a/b:c@d.db'
