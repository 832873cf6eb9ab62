# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml nas`` trains, predicts, ranks and searches from its command line."""

import csv
import importlib
import json
from pathlib import Path

import pytest
from predictor_command import main, printed
from predictor_toys import macro_cache
from toy_tools import ROOT, call_tool

from hpml_mm.cli.nas import COMMANDS
from hpml_mm.cli.nas.arguments import parse_count
from hpml_mm.cli.nas.card import print_card
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.search_report import PREDICTED

MACRO = 'nas-bench-macro'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Everything is written below a directory of its own."""
    monkeypatch.chdir(tmp_path)


def cells(lines: list[str]) -> list[list[str]]:
    """The rows of a printed table."""
    rows = (line for line in lines if line.startswith('│'))
    return [[cell.strip() for cell in row.strip('│').split('│')] for row in rows]


def test_a_predictor_is_trained_shown_tuned_and_used(capsys):
    macro_cache(40).save('a.cache')
    lines = printed(capsys, 'train', 'a.cache', '-n', 30, '--out', 'a.safetensors')
    assert lines[0] == (
        f'gp: trained on 30 networks of {MACRO}, CIFAR-10 top-1 (%), in percent'
    )
    assert [row[0] for row in cells(lines)] == ['predictor', 'ridge', 'macs', 'params']
    assert lines[-2].startswith('margin over ridge: SRCC +')
    assert lines[-1].startswith('Written to a.safetensors (')
    shown = printed(capsys, 'info', 'a.safetensors', '--cache', 'a.cache')
    assert shown[: len(lines) - 1] == lines[:-1]
    assert cells(shown[len(lines) - 1 :]) == cells(lines)
    words = ('info', 'a.safetensors', '--json')
    card = json.loads('\n'.join(printed(capsys, *words)))
    assert (card['networks'], card['space'], card['scores_again']) == (30, MACRO, None)
    again = json.loads('\n'.join(printed(capsys, *words, '--cache', 'a.cache')))
    assert again['scores_again'] == again['scores'] == card['scores']
    macro_cache(30, seed=1).save('b.cache')
    arguments = ('a.safetensors', 'b.cache', '-n', 10, '--out', 'b.safetensors')
    tuned = printed(capsys, 'finetune', *arguments)
    assert tuned[1] == f'pre-trained on 30 networks of {MACRO}, CIFAR-10 top-1 (%)'
    assert cells(tuned)[-1][0] == 'before tuning'
    (line,) = printed(capsys, 'predict', '22222222', '--predictor', 'b.safetensors')
    assert line.startswith(f'{MACRO}:22222222: ')
    note = ('--note', 'after 3 epochs')
    printed(capsys, 'finetune', *arguments, *note)
    (line,) = printed(capsys, 'predict', '22222222', '--predictor', 'b.safetensors')
    assert line.endswith(', CIFAR-10 top-1 (%) after 3 epochs')


METHODS = ('predictor', 'ridge', 'macs', 'before tuning')


@pytest.mark.parametrize(
    ('scores', 'warning'),
    [
        ((0.9, 0.8, None, 0.9), ''),
        (
            (0.1, 0.0, 0.7, 0.2),
            '(0.1000) it ranks worse than MACs alone (0.7000) and the predictor before '
            'tuning (0.2000)',
        ),
        ((None, 0.8), '(0.0000) it ranks worse than ridge regression (0.8000)'),
        ((None, None), ''),
        ((-0.1, None, 0.7), '(-0.1000) it ranks worse than MACs alone (0.7000)'),
    ],
)
def test_a_predictor_that_is_worse_than_simple_ones_is_warned_of(
    capsys, scores, warning
):
    found = {
        name: {'srcc(1)': value, 'mae(points)': 1.0}
        for name, value in zip(METHODS, scores, strict=False)
    }
    print_card(Card(MACRO, 'a/top1(%)', 'gp', 2, 0, 3, found, '0'))
    lines = capsys.readouterr().out.splitlines()
    shown = [line for line in lines if line.startswith('warning')]
    assert shown == ([f'warning: by SRCC {warning}'] if warning else [])


def test_only_the_chosen_command_is_imported(monkeypatch):
    imported = []
    real = importlib.import_module
    monkeypatch.setattr(
        importlib, 'import_module', lambda name: imported.append(name) or real(name)
    )
    with pytest.raises(SystemExit):
        main(['nas', '--help'])
    with pytest.raises(SystemExit):
        main(['nas', 'tarin', 'draw'])
    assert set(imported) == {'hpml_mm.cli', 'hpml_mm.cli.nas'}
    main(['nas', 'sample', MACRO])
    assert imported[-1] == 'hpml_mm.cli.nas.sample'


def test_every_command_has_a_parser(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main(['nas', name, '--help'])
        assert caught.value.code == 0
        assert f' {name} ' in capsys.readouterr().out


def test_the_space_chooses_the_predictor_and_unlike_networks_are_marked(capsys):
    line, other, reason = printed(capsys, 'predict', '22222222', 'ofa-pn-w1.3:' + OFA)
    assert line.endswith(', CIFAR-10 top-1 (%)')
    assert ' ± ' in line
    assert other.endswith(', ImageNet top-1 (%)')
    assert reason.startswith(
        '  out of distribution of the 1,490 networks of ofa-mbv3-w1.0 in the training '
    )


OFA = ';'.join(['3-3'] * 21)


def test_a_table_is_kept_and_predicted(capsys):
    rows = [['net', 'arch', 'note'], ['1', '22222222', 'a, "b"'], ['2', '11001001', '']]
    with open('in.csv', 'w', newline='', encoding='utf-8-sig') as file:
        csv.writer(file).writerows(rows)
    (line,) = printed(capsys, 'predict', '--table', 'in.csv', '--out', 'out.csv')
    start = f'2 networks of {MACRO}, CIFAR-10 top-1 (%), 0 of them out of dis'
    assert line.startswith(start)
    with open('out.csv', newline='') as file:
        header, *found = csv.reader(file)
    assert header == [*rows[0], *PREDICTED]
    assert [row[:3] for row in found] == rows[1:]
    assert [row[5] for row in found] == ['', '']
    (single,) = printed(capsys, 'predict', '22222222')
    score, std = float(found[0][3]), float(found[0][4])
    assert single == f'{MACRO}:22222222: {score:.2f} ± {std:.2f}, CIFAR-10 top-1 (%)'
    assert Path('out.csv').read_bytes().count(b'\r\n') == 3
    Path('in.csv').write_text('arch\n')
    printed(capsys, 'predict', '--table', 'in.csv', '--out', 'out.csv')
    assert (
        Path('out.csv').read_text()
        == 'arch,predicted,predicted_std,out_of_distribution\n'
    )


def test_rows_out_of_distribution_say_why(capsys):
    Path('in.csv').write_text('arch\n22222222\n11001001\n')
    arguments = ('--table', 'in.csv', '--input-size', 64, '--out', 'out.csv')
    (line,) = printed(capsys, 'predict', *arguments)
    assert ', 2 of them out of distribution' in line
    with open('out.csv', newline='') as file:
        reasons = [row['out_of_distribution'] for row in csv.DictReader(file)]
    assert reasons == ['images of 64x64, trained on 32x32'] * 2


@pytest.mark.slow
def test_what_is_no_classifier_is_told(capsys):
    pytest.importorskip('mmpose')
    reason = ': a TopdownPoseEstimator is no classifier'
    pose = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/' + POSE
    _, told_why = printed(capsys, 'predict', pose)
    assert told_why.endswith(f'ofa-mbv3-w1.0 in the training set{reason}')
    lines = printed(capsys, 'rank', pose, '22222222')
    assert f'   {pose}{reason}' in lines
    assert sum('no classifier' in line for line in lines) == 1


POSE = 'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py'


def test_networks_are_ranked_and_those_too_close_are_marked(capsys):
    archs = ['10010100', '22212100', '22221100', '11111111']
    lines = printed(capsys, 'rank', *archs)
    rows = cells(lines)
    assert [row[1] for row in rows[2:]] == [f'{MACRO}:{a}' for a in archs[::-3]]
    # The first two have the same layers in another order.
    assert {row[1] for row in rows[:2]} == {f'{MACRO}:{arch}' for arch in archs[1:3]}
    assert [row[4] for row in rows] == ['≈', '', '', '']
    Path('a.csv').write_text('\n'.join(['arch', *archs]))
    assert cells(printed(capsys, 'rank', '--table', 'a.csv')) == rows
    printed(capsys, 'graph', *archs, '--out', 'a.cache')
    assert cells(printed(capsys, 'rank', '--cache', 'a.cache', '--top', 2)) == rows[:2]


def test_a_search_prints_the_best_and_draws_the_front(capsys):
    macro_cache(5).save('a.cache')
    arguments = (MACRO, '--max-macs', '70M', '--max-params', 1_200_000, '--trials', 60)
    lines = printed(capsys, 'search', *arguments, '--top', 3, '--published', 'a.cache')
    assert lines[0].endswith(f'{MACRO} within 70,000,000 MACs and 1,200,000 parameters')
    rows = cells(lines)
    assert len(rows) == 3
    for row in rows:
        assert int(row[5].replace(',', '')) <= 70_000_000
        assert int(row[6].replace(',', '')) <= 1_200_000
    folder = Path('work_dirs/search', MACRO)
    assert sorted(path.name for path in folder.iterdir()) == [
        'pareto.csv',
        'pareto.png',
    ]
    before = (folder / 'pareto.csv').read_bytes()
    printed(capsys, 'search', *arguments, '--out', 'b')
    assert Path('b/pareto.csv').read_bytes() == before
    with open('b/pareto.csv', newline='') as file:
        front = list(csv.DictReader(file))
    assert front[-1]['arch'] == rows[0][1]
    assert [front[-1]['macs'], front[-1]['params']] == [
        cell.replace(',', '') for cell in rows[0][5:]
    ]
    shown = [float(front[-1][name]) for name in PREDICTED[:2]]
    assert shown == pytest.approx([float(cell) for cell in rows[0][2:4]], abs=0.006)
    assert front[-1]['out_of_distribution'] == ''


def test_what_rank_and_search_print_the_other_commands_take(capsys):
    Path('a.csv').write_text(f'arch\n{OFA}\n{OFA.replace("3-3;", "7-6;", 2)}\n')
    table = ('--table', 'a.csv', '--space', 'ofa-pn-w1.3')
    ranked = cells(printed(capsys, 'rank', *table))
    names = [row[1] for row in ranked]
    assert all(name.startswith('ofa-pn-w1.3:') for name in names)
    lines = printed(capsys, 'predict', *names)
    assert [line.split(', ')[0] for line in lines if not line.startswith(' ')] == [
        f'{row[1]}: {row[2]} ± {row[3]}' for row in ranked
    ]
    assert cells(printed(capsys, 'rank', *names)) == ranked
    options = ('--trials', 2, '--out', 'c', '--start', *names)
    found = cells(printed(capsys, 'search', 'ofa-pn-w1.3', *options))
    assert [row[1:4] for row in found] == [row[1:4] for row in ranked]
    again = cells(printed(capsys, 'rank', *(row[1] for row in found)))
    assert [row[1] for row in again] == names


def test_counts_are_read_with_and_without_units():
    texts = ('300000000', '300M', '0.3G', '300000k', '3e8')
    assert {parse_count(text) for text in texts} == {300_000_000}
    for text in ('', 'M', '3x', '-3M', '0', 'nan', 'inf'):
        with pytest.raises(ValueError, match='is no number above 0: write'):
            parse_count(text)


def test_proxies_of_the_untrained_network_stand_below_its_costs(capsys):
    arguments = ('profile', f'{MACRO}:11111111', '--input-size', 16, '--proxies')
    lines = printed(capsys, *arguments)
    named = dict(line.split(': ') for line in lines[-4:])
    assert list(named) == ['synflow', 'snip', 'naswot', 'jacov']
    assert printed(capsys, *arguments) == lines
    others = printed(capsys, *arguments, '--seed', 1)
    assert others[:-4] == lines[:-4]
    assert not set(others[-4:]) & set(lines[-4:])
    found = json.loads('\n'.join(printed(capsys, *arguments, '--json')))['proxies']
    assert {name: f'{value:.6g}' for name, value in found.items()} == named
    assert printed(capsys, *arguments[:-1]) == lines[:-4]


def test_proxies_that_a_network_has_not_are_named(capsys):
    source = 'edgenext-xxsmall_8xb256_in1k'  # of GELU alone
    lines = printed(capsys, 'profile', source, '--input-size', 64, '--proxies')
    assert lines[-2] == 'naswot: the network has no ReLU, and so no codes to compare'


def test_get_flops_takes_the_words_of_openmmlab(tmp_path):
    (demo,) = (ROOT / 'configs' / 'demo').glob('*.py')
    own = call_tool(
        'nas profile', demo, '--input-size', '44x44', '--json', cwd=tmp_path
    )
    found = json.loads(own.stdout)
    assert found['macs'] == sum(node['macs'] for node in found['nodes'])
    for shape in (['44'], ['44', '44']):
        words = (demo, '--json', '--shape', *shape)
        done = call_tool('analysis_tools/get_flops.py', *words, cwd=tmp_path)
        assert json.loads(done.stdout) == found
    done = call_tool('nas profile', demo, '--shape', *'123', cwd=tmp_path)
    assert done.returncode == 2
    assert '--shape is a side, or height and width' in done.stderr


def test_a_table_of_ones_own_of_any_unit(capsys):
    """From a CSV file to a search, for a loss of which less is better."""
    cache = macro_cache(40)
    losses = 3 - cache.metric('cifar10/top1(%)') / 20
    rows = [
        f'{arch},{loss:.6f},x'
        for arch, loss in zip(cache.archs, losses, strict=True)
        if arch
    ]
    rows += ['22222222,n/a,', '9999,1,']
    text = '\n'.join(['arch,depth/loss(m),note', *dict.fromkeys(rows), ''])
    Path('own.csv').write_text(text)
    lines = printed(
        capsys, 'cache', 'build', 'own.csv', '--space', MACRO, '--out', 'own.cache'
    )
    said = '\n'.join(lines)
    assert "left out: own.csv: column 'note': neither unit nor direction" in said
    assert "depth/loss(m): 'n/a' is no finite number" in said
    assert f'left out: own.csv: line {len(dict.fromkeys(rows)) + 1}: {MACRO}: ' in said
    metric = ('--metric', 'depth/loss(m)')
    lines = printed(
        capsys, 'train', 'own.cache', '-n', 25, *metric, '--out', 'own.safetensors'
    )
    assert lines[0] == 'left out, without depth/loss(m): 1 of the networks'
    assert lines[1] == (
        f'gp: trained on 25 networks of {MACRO}, depth loss(m), in m, less is better'
    )
    words = ('--predictor', 'own.safetensors')
    two = [f'{MACRO}:00000000', f'{MACRO}:22222222']
    ranked = json.loads('\n'.join(printed(capsys, 'rank', *two, *words, '--json')))
    assert ranked[0]['score'] < ranked[1]['score']
    limits = ('--max-macs', '60M', '--trials', 60, '--out', 'found', '--json')
    best, *rest = json.loads(
        '\n'.join(printed(capsys, 'search', MACRO, *words, *limits))
    )
    assert best['score'] == min(one['score'] for one in [best, *rest])
    assert best['macs'] <= 60e6
