# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Verdicts by hand-worked numbers, the file of claims, and the document made of it."""

import re
import shlex
from dataclasses import replace

import pytest

from hpml_mm.cli import command_parser
from hpml_mm.experiments.rows import ResultRow, append_results
from hpml_mm.report.reading.sources import read_source
from projects.claims.__main__ import DOCUMENT, ROOT, document
from projects.claims.claims import read_claims
from projects.claims.judge import Comparison, judge, least_step, rerun_std, welch
from projects.claims.page import fill, tables

CLAIMS = ROOT / 'projects' / 'claims' / 'claims.toml'


def row(value, spread=1.0, n=3, experiment='e/a', command='hpml sweep --seeds 1 2 3'):
    return ResultRow(
        *(experiment, 'accuracy/top1', '%', value, spread, n, None),
        *(command, 'abc', 'cpu', '2', '2026-01-01'),
    )


def test_welch_by_hand():
    # t = 2 / sqrt(2 / 3) = 2.449 with 4 degrees of freedom.
    assert welch(row(2.0), row(0.0)) == pytest.approx(0.0705, abs=1e-4)
    # t = 1 / (1 / 2) = 2 with 3 degrees of freedom.
    assert welch(row(1.0, n=4), 0.0) == pytest.approx(0.1393, abs=1e-4)


def test_a_median_stands_with_its_range_over_1_349():
    benchmark = 'hpml benchmark train configs/a.py'
    medians = [row(x, spread=1.349, command=benchmark) for x in (2.0, 0.0)]
    assert welch(*medians) == pytest.approx(welch(row(2.0), row(0.0)))


@pytest.mark.parametrize(
    ('relation', 'sides', 'verdict'),
    [
        ('above', (row(10.0), row(0.0)), 'confirmed'),
        ('above', (row(0.0), row(10.0)), 'refuted'),
        ('below', (row(0.0), row(10.0)), 'confirmed'),
        ('above', (row(2.0), row(0.0)), 'undecided'),
        ('below', (row(2.0), row(0.0)), 'undecided'),
        ('above', (row(10.0, spread=None, n=1), row(0.0)), 'undecided'),
        ('above', (row(10.0, spread=0.0), row(0.0, spread=0.0)), 'undecided'),
        ('below', (row(89.0), 100.0), 'confirmed'),
        ('equals', (row(0.0, spread=None, n=1), 0.0), 'confirmed'),
        ('equals', (row(3.0, spread=None, n=1), 0.0), 'refuted'),
    ],
)
def test_verdicts(relation, sides, verdict):
    assert judge([Comparison(sides[0], relation, sides[1])])[0] == verdict


def test_all_must_hold_and_one_that_surely_does_not_is_enough():
    sure = Comparison(row(10.0), 'above', row(0.0))
    open_ = Comparison(row(10.0), 'above', row(9.0))
    wrong = Comparison(row(10.0), 'above', row(20.0))
    assert judge([sure, open_])[0] == 'undecided'
    assert judge([sure, open_, wrong])[0] == 'refuted'
    assert judge([])[0] == 'not tested'


def test_holm_corrects_for_the_comparisons_of_a_claim():
    # Alone p is .028; the smallest of three is multiplied by three.
    one = Comparison(row(2.8, n=3), 'above', row(0.0, n=3))
    alone = judge([one])[1][0].p
    assert alone < 0.05
    verdict, findings = judge([one] * 3)
    assert findings[0].p == pytest.approx(3 * alone)
    assert verdict == 'undecided'


def test_steps_of_single_runs():
    assert least_step(1.0) == pytest.approx(2.772, abs=1e-3)
    # The standard deviation of two values is their distance over the root of 2.
    assert rerun_std(0.685, 0.6657) == pytest.approx(0.01365, abs=1e-5)


TEXT = """
[[claim]]
id = 'a'
source = 's'
says = 'it is so'
{claim}
[steps]
reruns = [0.5, 0.4]
own = {{ file = 'f', row = 'e/a', metric = 'accuracy/top1' }}
pairs = []
"""


def read(folder, claim):
    append_results(folder / 'f.csv', [row(9.0), row(1.0, experiment='e/b')])
    path = folder / 'claims.toml'
    path.write_text(TEXT.format(claim=claim))
    return read_claims(path, folder)


GOOD = "{ file = 'f', row = 'e/a', metric = 'accuracy/top1', above = ['e/b'] }"


def test_a_file_of_claims(tmp_path):
    cost = "lacks = 'b'\nneeds = 'gpu'\ngmacs = 1\nimages = 1_000_000\nepochs = 6"
    [claim], steps = read(tmp_path, f"here = 'x'\nevidence = [{GOOD}]\n{cost}")
    assert claim.verdict == 'confirmed'
    assert claim.files == ('f',)
    # 6e15 MACs are 3.6e16 operations, an hour at 1e13 a second.
    assert claim.gpu_hours == pytest.approx(1.0)
    assert steps.own.value == 9.0


@pytest.mark.parametrize(
    ('claim', 'message'),
    [
        ("lack = 'b'", "claim 'a': lack: there are"),
        ('', "claim 'a' has neither evidence nor"),
        (f'evidence = [{GOOD}]', 'evidence goes with `here`'),
        ("lacks = 'b'", '`lacks` goes with `needs`'),
        ("lacks = 'b'\nneeds = 'luck'", '`lacks` goes with `needs`'),
        ("lacks = 'b'\nneeds = 'gpu'\ngmacs = 1", 'has gmacs of'),
        (
            f"here = 'x'\nevidence = [{GOOD.replace('e/b', 'e/c')}]",
            'f.csv has no accuracy/top1 of e/c',
        ),
        (
            f"here = 'x'\nevidence = [{GOOD.replace('above', 'over')}]",
            'evidence has file, row, metric and one of',
        ),
    ],
)
def test_a_bad_claim_is_an_error_with_its_place(tmp_path, claim, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, claim)


def test_the_document_is_that_of_the_rows():
    assert DOCUMENT.read_text(encoding='utf-8') == document()


def test_every_step_of_the_ablation_is_judged_once():
    _, steps = read_claims(CLAIMS, ROOT / 'results')
    source = read_source(ROOT / 'configs' / 'cat_pose' / 'source.csv')
    assert [one for one, _ in steps.pairs] == list(source)[1:]


def test_tables_say_what_is_not_tested(tmp_path):
    claims, steps = read(tmp_path, "lacks = 'the sea'\nneeds = 'time'")
    found = tables(claims, steps, {})
    assert '| not tested | 1 |' in found['verdicts']
    assert '*Not tested:* the sea' in found['s']


def test_a_step_beside_the_noise(tmp_path):
    claims, steps = read(tmp_path, "lacks = 'b'\nneeds = 'time'")
    # The least steps are 2.77 times .0707, by two runs .1 apart, and 2.77 times 1.
    steps = replace(steps, pairs=(('b', 'a'), ('c', 'a'), ('d', 'a'), ('e', 'a')))
    source = {
        name: {'change': name, 'best': best}
        for name, best in zip('abcde', ('1', '1.1', '2', '4', 'none'), strict=True)
    }
    found = tables(claims, steps, source)
    assert [line.split(' | ')[-2:] for line in found['steps'].split('\n')[2:]] == [
        ['+0.100', 'neither |'],
        ['+1.000', 'theirs |'],
        ['+3.000', 'theirs and ours |'],
        ['none', ' |'],
    ]
    assert found['noise'].split('\n')[2:] == [
        '| theirs | 0.0707 | 0.196 | 2 |',
        '| ours | 1.0000 | 2.772 | 1 |',
    ]


def test_a_document_without_a_table_is_an_error():
    with pytest.raises(ValueError, match='has tables of a, not of a, b'):
        fill('<!-- claims: a -->\n<!-- /claims -->', {'a': '', 'b': ''})


def test_commands_can_be_given_and_their_configs_are_there():
    claims, _ = read_claims(CLAIMS, ROOT / 'results')
    commands = [one.command for one in claims if one.command]
    assert commands
    for command in commands:
        words = shlex.split(command)
        if words[0] != 'tools/dist_train.sh':
            assert words[0] == 'hpml'
            command_parser(words[1:]).parse_all(words[1:])
        configs = [word for word in words if word.endswith('.py')]
        assert configs
        assert [one for one in configs if not (ROOT / one).is_file()] == []
