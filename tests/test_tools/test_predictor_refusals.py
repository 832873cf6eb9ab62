# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What ``tools/predictor.py`` refuses to train, predict, rank and search."""

from pathlib import Path

import pytest
from predictor_command import ROOT, refused
from predictor_toys import macro_cache, toy_cache

MACRO = 'nas-bench-macro'
# A file below a file system that takes none.
NOWHERE = '/proc/new/o'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Everything is written below a directory of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['train', 'none', '-n', 5, '--out', 'o'], "no graph cache 'none'"),
        (['train', 'a.cache', '-n', 50, '--out', 'o'], '50 of 12 networks to learn'),
        (['train', 'a.cache', '-n', 1, '--out', 'o'], 'at least 2 networks are needed'),
        (
            ['train', 'a.cache', '-n', 5, '--metric', 'x', '--out', 'o'],
            "no metric 'x' in the cache; there are cifar10/top1(%), macs, params",
        ),
        (['train', 'toy.cache', '-n', 5, '--out', 'o'], 'choose a --metric; there are'),
        (
            ['train', 'toy.cache', '-n', 5, '--metric', 'toy/top1(%)', '--out', 'o'],
            "other has no 'toy/top1(%)'",
        ),
        (['train', 'a.cache', '--out', 'o'], 'give either -n, or --config and --check'),
        (['train', 'a.cache', '--config', 'c', '--out', 'o'], 'go together'),
        *(
            (
                ['train', 'a.cache', '--config', 'c', '--checkpoint', 'a', '--out', 'o']
                + [f'--{name}', value],
                f'--{name} does not go with --config',
            )
            for name, value in (('metric', 'm'), ('seed', 0), ('method', 'gnn'))
        ),
        (
            ['train', 'a.cache', '-n', 5, '--metric', 'macs', '--method', 'gnn']
            + ['--out', 'o'],
            "'macs' of ",
        ),
        (
            ['train', 'a.cache', '--config', 'c.py', '--checkpoint', 'a', '--out', 'o'],
            'there is no a',
        ),
        (
            ['train', 'a.cache', '--config', 'c.py', '--checkpoint', 'half']
            + ['--out', 'o'],
            'c.py trains no predictor: its data are no GraphDataset',
        ),
        (['train', 'a.cache', '-n', 5, '--out', '.'], '--out . is a directory'),
        (['finetune', 'none', 'a.cache', '--out', 'o'], "no predictor 'none': name a "),
        (['info', 'a.cache'], 'a safetensors file, but not a predictor'),
        (['info', 'half'], 'half is not a predictor, or is truncated'),
        (
            ['info', '--cache', 'a.cache'],
            f'a.cache has networks of {MACRO}, not of ofa-mbv3-w1.0',
        ),
        (['predict'], 'give either SOURCEs or a --table'),
        (['predict', '1' * 8, '--out', 'o'], '--table and --out go together'),
        (['predict', '1' * 8, '--predictor', 'in.csv'], 'in.csv is not a predictor'),
        (['predict', '--table', 'in.csv', '--out', 'o'], 'in.csv, line 3: '),
        (
            ['predict', '--table', 'done.csv', '--out', 'o'],
            "a column 'predicted' alrea",
        ),
        (
            ['predict', '--table', 'twice.csv', '--out', 'o'],
            "twice.csv has several columns 'arch'",
        ),
        (['predict', '--table', 'in.csv', '--out', NOWHERE], f'--out {NOWHERE} cannot'),
        (['train', 'a.cache', '-n', 5, '--out', NOWHERE], f'--out {NOWHERE} cannot'),
        (['rank', '--cache', 'a.cache', '--space', MACRO], 'and --input-size are for'),
        (['rank', '--cache', 'a.cache', '--input-size', 9], 'and --input-size are for'),
        (['profile', '--table', 'a', '--out', 'o', '--top', 1], '--top is for a SOURC'),
        (['rank'], 'give either SOURCEs, a --table or a --cache'),
        (['rank', '--table', 'empty.csv'], 'there are no networks'),
        (['search', 'ofa'], "no search space 'ofa'"),
        (['search', MACRO, '--max-macs', '3x'], "'3x' is no number above 0"),
        (['search', MACRO, '--max-macs', ''], "'' is no number above 0"),
        (['search', MACRO, '--max-params', ''], "'' is no number above 0"),
        (['search', MACRO, '--trials', 0], '0 trials'),
        (
            ['search', MACRO, '--out', '/proc/o', '--max-macs', 7],
            '--out /proc/o cannot',
        ),
        (['search', MACRO, '--out', 'a.cache'], '--out a.cache is a file: name a dire'),
        (
            ['search', 'ofa-mbv3-w1.0', '--published', 'a.cache'],
            f'--published a.cache has {MACRO}:',
        ),
        (['search', MACRO, '--seed', -1], '--seed -1'),
        (
            ['search', MACRO, '--max-macs', 7, '--trials', 9],
            'is within 7 MACs: the smallest found has ',
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(capsys, arguments, message):
    shipped = ROOT / 'hpml_mm' / 'predictor' / 'shipped' / f'{MACRO}.safetensors'
    Path('half').write_bytes(shipped.read_bytes()[:9000])
    for name, text in {
        'in.csv': 'arch\n11111111\n31111111\n',
        'done.csv': 'arch,predicted\n11111111,3\n',
        'empty.csv': 'arch\n',
        'twice.csv': 'arch,arch\n11111111,00000000\n',
        'c.py': 'a = 1\n',
    }.items():
        Path(name).write_text(text)
    macro_cache(12).save('a.cache')
    toy_cache().save('toy.cache')
    before = sorted(path.name for path in Path().iterdir())
    assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in Path().iterdir()) == before
