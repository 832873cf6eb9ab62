# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Commands that ``tools/predictor.py`` refuses: train, predict, rank and search."""

import shlex

import pytest
from predictor_command import ROOT, refused
from predictor_toys import macro_cache, toy_cache

MACRO = 'nas-bench-macro'
CONFIG = 'train a.cache --config c.py --checkpoint half --out o'
REFUSED = {
    'train none -n 5 --out o': "no graph cache 'none'",
    'train a.cache -n 50 --out o': '50 of 12 networks',
    'train a.cache -n 1 --out o': 'at least 2 networks',
    'train a.cache -n 5 --metric x --out o': "no metric 'x' in the cache; there are",
    'train a.cache -n 5 --metric macs --method gnn --out o': "'macs' of ",
    'train toy.cache -n 5 --out o': 'choose a --metric; there are',
    "train toy.cache -n 5 --metric 'toy/top1(%)' --out o": "other has no 'toy/top1(%)'",
    'train a.cache --out o': 'give either -n, or --config and --checkpoint',
    'train a.cache --config c --out o': 'go together',
    f'{CONFIG} --metric m': '--metric does not go with --config',
    f'{CONFIG} --seed 0': '--seed does not go with --config',
    f'{CONFIG} --method gnn': '--method does not go with --config',
    'train a.cache --config c.py --checkpoint a --out o': 'there is no a',
    CONFIG: 'c.py trains no predictor: its data are no GraphDataset',
    'train a.cache -n 5 --out .': '--out . is a directory',
    # A file below a file system that takes none.
    'train a.cache -n 5 --out /proc/new/o': '--out /proc/new/o cannot',
    'finetune none a.cache --out o': "no predictor 'none': name a ",
    'info a.cache': 'not a predictor',
    'info half': 'half is not a predictor, or is truncated',
    'info --cache a.cache': f'a.cache has networks of {MACRO}, not of ofa-mbv3-w1.0',
    'predict': 'give either SOURCEs or a --table',
    'predict 11111111 --out o': '--table and --out go together',
    'predict 11111111 --predictor in.csv': 'in.csv is not a predictor',
    'predict --table in.csv --out o': 'in.csv, line 3: ',
    'predict --table done.csv --out o': "a column 'predicted' already",
    'predict --table twice.csv --out o': "twice.csv has several columns 'arch'",
    'predict --table in.csv --out /proc/new/o': '--out /proc/new/o cannot',
    f'rank --cache a.cache --space {MACRO}': '--space and --input-size are for',
    'rank --cache a.cache --input-size 9': '--space and --input-size are for',
    'rank': 'give either SOURCEs, a --table or a --cache',
    'rank --table empty.csv': 'there are no networks',
    'search ofa': "no search space 'ofa'",
    f'search {MACRO} --max-macs 3x': "'3x' is no number above 0",
    f"search {MACRO} --max-macs ''": "'' is no number above 0",
    f"search {MACRO} --max-params ''": "'' is no number above 0",
    f'search {MACRO} --trials 0': '0 trials',
    f'search {MACRO} --seed -1': '--seed -1',
    f'search {MACRO} --out /proc/o --max-macs 7': '--out /proc/o cannot',
    f'search {MACRO} --out a.cache': '--out a.cache is a file',
    'search ofa-mbv3-w1.0 --published a.cache': f'--published a.cache has {MACRO}:',
    f'search {MACRO} --max-macs 7 --trials 9': 'within 7 MACs: the smallest found has ',
    'profile --table a --out o --top 1': '--top is for a SOURCE',
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Files of all kinds; no command may add another."""
    place = tmp_path_factory.mktemp('refusals')
    shipped = ROOT / 'hpml_mm' / 'predictor' / 'shipped' / f'{MACRO}.safetensors'
    (place / 'half').write_bytes(shipped.read_bytes()[:9000])
    for name, text in {
        'in.csv': 'arch\n11111111\n31111111\n',
        'done.csv': 'arch,predicted\n11111111,3\n',
        'empty.csv': 'arch\n',
        'twice.csv': 'arch,arch\n11111111,00000000\n',
        'c.py': 'a = 1\n',
    }.items():
        (place / name).write_text(text)
    macro_cache(12).save(place / 'a.cache')
    toy_cache().save(place / 'toy.cache')
    return place


@pytest.mark.parametrize(('command', 'message'), REFUSED.items())
def test_a_wrong_command_is_one_line_and_nothing_is_written(
    command, message, folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert message in refused(capsys, *shlex.split(command))
    assert sorted(path.name for path in folder.iterdir()) == before
