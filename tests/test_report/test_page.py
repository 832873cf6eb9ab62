# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The page's file: what it holds and what it may load; `test_page_browser.py` looks."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace

import pytest
from sample import HOSTILE, sample_report

from hpml_mm.report.content import Picture, Point
from hpml_mm.report.packing import packed_json
from hpml_mm.report.page import LIMIT, page, write_page

ROOMY = 10**9


def unpacked(room: int = ROOMY, **changes) -> dict:
    return json.loads(packed_json(replace(sample_report(), **changes), room))


def run_with(**changes):
    return replace(sample_report().runs[0], **changes)


def test_names_cannot_leave_the_data():
    text = page(sample_report())
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert not set('<>&') & set(data)
    assert json.loads(data)['runs'][5]['name'] == HOSTILE
    assert HOSTILE not in text
    # The data, plotly.js and the page's own.
    assert text.count('</script>') == text.count('<script') == 3


def test_a_name_like_a_place_of_the_template_stays():
    name = '{{script}} {{data}} \udcff \u2028'
    text = page(replace(sample_report(), title=name))
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)['title'] == name
    assert text.encode()


def test_only_the_own_scripts_may_run():
    text = page(sample_report())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(' ', 1) for rule in policy.split(';'))
    scripts = re.findall(r'<script>(.*?)</script>', text, re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    sources = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert rules.pop('script-src').split() == sources
    assert rules == {
        'default-src': "'none'",
        'style-src': "'unsafe-inline'",
        'img-src': 'data: blob:',
        'base-uri': "'none'",
        'form-action': "'none'",
    }


def test_nothing_is_loaded():
    text = page(sample_report())
    bare = re.sub(r'<script>.*?</script>|<!--.*?-->', '', text, flags=re.DOTALL)
    assert 'http' not in bare.replace('http-equiv', '')
    assert re.findall(r'(?:src|href)="([^"]*)"', bare) == ['data:,', '#content']
    own = text.rsplit('<script>', 1)[1]
    assert re.findall(r'https?://[^\'"]*', own) == ['http://www.w3.org/2000/svg']


def test_the_licences_of_the_scripts_are_in_it():
    text = page(sample_report())
    assert 'plotly.js 4' in text
    assert 'The MIT License' in text


def test_numbers_that_are_none_and_pools():
    run = run_with(metrics={'a': math.nan, 'b': -math.inf, 'c': 0.125})
    found = unpacked(runs=(run,))
    assert found['runs'][0]['metrics'] == {'a': None, 'b': None, 'c': 0.125}
    pairs = [found['pairs'][place] for place in found['runs'][0]['config']]
    assert dict(pairs) == run.config
    steps, *_, values = (
        found['columns'][place] for place in found['runs'][0]['curves']['accuracy/top1']
    )
    assert steps == [50, 100, 150, 200]
    assert values == [20, 28.2843, 34.641, 40]
    row = dict(zip(found['row_fields'], found['rows'][1], strict=True))
    assert found['texts'][row['experiment']] == 'toy-input/workers1'
    assert (row['value'], row['ratio']) == (14.6, 14.6 / 15.1)


def test_a_figure_has_the_look_of_the_page():
    (study,) = sample_report().studies
    own = {'template': {'layout': {}}, 'width': 900, 'height': 9, 'xaxis': {'a': 1}}
    figure = {'data': [], 'layout': own}
    found = unpacked(studies=(replace(study, figures={'history': figure}),))
    (packed,) = found['studies'][0]['figures'].values()
    assert packed == {'data': [], 'layout': {'xaxis': {'a': 1}}}


def test_a_page_without_room_says_so():
    curve = [Point(i, None, None, i * math.pi, math.sin(i)) for i in range(3000)]
    picture = Picture('worst', 'step 1', f'data:image/png;base64,{"A" * 9000}')
    runs = (run_with(curves={'loss': curve}, pictures=(picture, picture)),)
    roomy = unpacked(runs=runs)
    assert len(roomy['columns'][0]) == 1000
    assert len(roomy['pictures'][0]) == 2
    told = {problem['place']: problem['what'] for problem in roomy['problems']}
    assert told['curves'] == '1000 of up to 3000 points of a curve are drawn'
    room = len(packed_json(replace(sample_report(), runs=runs), ROOMY)) - 30_000
    tight = packed_json(replace(sample_report(), runs=runs), room)
    assert len(tight) <= room
    found = json.loads(tight)
    points = len(found['columns'][0])
    assert points in {50, 100, 200, 400}
    told = {problem['place']: problem['what'] for problem in found['problems']}
    assert told['curves'] == f'{points} of up to 3000 points of a curve are drawn'


def test_pictures_that_do_not_fit_are_counted():
    picture = Picture('worst', 'step 1', f'data:image/png;base64,{"A" * 9000}')
    runs = tuple(run_with(id=i, pictures=(picture, picture)) for i in range(3))
    bare = tuple(replace(run, pictures=()) for run in runs)
    room = len(packed_json(replace(sample_report(), runs=bare), ROOMY)) + 38_000
    found = unpacked(room, runs=runs)
    # The first picture of each run comes before the second one of any.
    assert list(map(len, found['pictures'])) == [2, 1, 1]
    assert found['problems'][-1]['what'].startswith('2 left out')


@pytest.mark.slow
def test_200_runs_have_less_than_5_mb(tmp_path):
    curve = [
        Point(i, i / 38, 64 * i, i * math.pi / 10, math.sin(i)) for i in range(500)
    ]
    config = {
        f'train_dataloader.dataset.pipeline.{i}.type': 'X' * 60 for i in range(300)
    }
    runs = tuple(
        run_with(
            id=i,
            name=f'run{i}',
            config=config | {'seed': str(i)},
            curves={
                f'metric{k}': [
                    point._replace(seconds=point.seconds + i, value=point.value * i + k)
                    for point in curve
                ]
                for k in range(8)
            },
        )
        for i in range(200)
    )
    write_page(replace(sample_report(), runs=runs), tmp_path / 'index.html')
    assert (tmp_path / 'index.html').stat().st_size <= LIMIT
