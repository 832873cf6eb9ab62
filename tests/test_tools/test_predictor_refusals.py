# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Commands that ``hpml nas`` refuses."""

import csv
import shlex

import pytest
from predictor_command import refused
from predictor_toys import macro_cache, toy_cache
from toy_tools import ROOT

MACRO = 'nas-bench-macro'
# A cell whose quote is never closed.
ENDLESS = '"' + 'a' * (csv.field_size_limit() + 1)
CONFIG = 'train a.cache --config c.py --checkpoint half --out o'
REFUSED = {
    'sample x': "there is no search space 'x'",
    f'sample {MACRO} -n 0': '-n 0: at least 1',
    f'sample {MACRO} --seed -1': '--seed -1: a seed is from 0 to',
    f'sample {MACRO} --out .': '--out . is a directory',
    'graph none': "'none' is no arch, no ONNX file, no config file, and no",
    'graph resnet18_8xb32_in1': 'did you mean resnet18_8xb32_in1k?',
    'graph none.onnx': 'none.onnx',
    'graph none.py': "no config file 'none.py'",
    f'graph {MACRO}:3': f'{MACRO}: ',
    'graph 11111111 --space x': "there is no search space 'x'",
    'graph 11111111 --input-size 4x': "'4x' is no size: write a side, or",
    'graph 11111111 --input-size 4x8': '4x8: networks of nas-bench-macro',
    'graph 11111111 --task normal': "no task 'normal', its networks have one task",
    'graph transnas-macro:64-1114-basic --task x': "no task 'x'; there are class_scene",
    f'search {MACRO} --task normal': "nas-bench-macro: no task 'normal'",
    'graph c.py': 'c.py has no model',
    'graph bad.py': 'cannot build the model of bad.py: ',
    'graph small.py': 'small.py does not tell the size of its images: give',
    f'graph 11111111 {MACRO}:11111111 --out o': f'{MACRO}:11111111 is given twice',
    'graph 11111111 --out .': '--out . is a directory: name a file',
    'profile': 'give either a SOURCE or a --table',
    'profile 11111111 --top 0': '--top 0: at least 1 node',
    'profile --table in.csv': '--table and --out go together',
    'profile --table a --out o --top 1': '--top is for a SOURCE',
    'profile --table a --out o --proxies': '--proxies is for a SOURCE',
    'profile 11111111 --seed -1': '--seed -1: a seed is from 0 to',
    'profile --table in.csv --out .': 'is a directory',
    'profile --table in.csv --out ./in.csv': 'set another --out',
    'profile --table link.csv --out in.csv': 'in.csv is the table that is read',
    'profile --table x.csv --out o': "no table 'x.csv'",
    'profile --table in.csv --out o': 'in.csv, line 3: nas-bench',
    'profile --table in.csv --space ofa-mbv3-w1.2 --out o': 'line 2: ofa-mbv3-w1.2: ',
    'profile --table short.csv --out o': 'line 2: 1 cells, not 2',
    'profile --table c.py --out o': "has no column 'arch'",
    'profile --table counted.csv --out o': "'macs_counted' already",
    'profile --table alien.csv --out o': 'is in no known search',
    'profile --table latin.csv --out o': 'latin.csv: byte 5 is not UTF-8',
    'profile --table endless.csv --out o': 'endless.csv cannot be read as CSV',
    'profile --table header.csv --out o': 'header.csv cannot be read as CSV',
    'draw 11111111 --out o.png': 'o.png: drawings are SVG',
    'cache summary in.csv': 'in.csv is not a graph cache',
    'cache summary a.cache --srcc a b': "no metric 'a'",
    'cache merge a.cache none --out o': "no graph cache 'none'",
    'cache merge a.cache --out .': '--out . is a directory',
    "cache filter a.cache --where 'mac<1' --out o": "did you mean 'macs'",
    "cache filter a.cache --where 'macs>1e99' --out o": 'no network of a.cache',
    # A space is the front of a name up to its colon.
    'cache filter a.cache --space nas-bench-macr --out o': 'no network of a.cache',
    **{
        f"cache filter a.cache --where '{text}' --out o": f'{text!r} is no condition'
        for text in ('', 'macs', 'macs<', '<3', 'macs<three', 'macs=3', 'macs<nan')
    },
    "cache filter a.cache --where 'a<1<2' --out o": "'a<1<2' is no condition",
    'cache import in.csv --out o': 'truncated, or not a pickle',
    f'cache build x --space {MACRO} --out o': 'there is no table x',
    'train none -n 5 --out o': "no graph cache 'none'",
    'train a.cache -n 50 --out o': '50 of 12 networks',
    'train a.cache -n 1 --out o': '-n 1: at least 2 networks',
    'train a.cache -n 12 --out o': '12 of 12 networks',
    'train a.cache -n 5 --seed -1 --out o': '--seed -1',
    'train a.cache -n 5 --metric x --out o': "no metric 'x' in the cache; there are",
    'train a.cache -n 5 --metric macs --method gnn --out o': "'macs' is not as",
    'train toy.cache -n 5 --out o': 'choose a --metric; there are',
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
    f'rank --cache a.cache --space {MACRO}': '--space, --input-size and --task are',
    'rank --cache a.cache --input-size 9': '--space, --input-size and --task are for',
    'rank --cache a.cache --task normal': '--space, --input-size and --task are for',
    'rank': 'give either SOURCEs, a --table or a --cache',
    'rank --table empty.csv': 'there are no networks',
    'search ofa': "no search space 'ofa'",
    f'search {MACRO} --max-macs 3x': "'3x' is no number above 0",
    f"search {MACRO} --max-macs ''": "'' is no number above 0",
    f"search {MACRO} --max-params ''": "'' is no number above 0",
    f'search {MACRO} --trials 0': '0 trials',
    f'search {MACRO} --seed -1': '--seed -1',
    f'search {MACRO} --start 9': "'9' has 1 layers; 8 digits are needed",
    f'search {MACRO} --out /proc/o --max-macs 7': '--out /proc/o cannot',
    f'search {MACRO} --out a.cache': '--out a.cache is a file',
    'search ofa-mbv3-w1.0 --published a.cache': f'--published a.cache has {MACRO}:',
    f'search {MACRO} --max-macs 7 --trials 9': 'within 7 MACs: the smallest found has ',
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
        'bad.py': "model = dict(type='Nothing')\n",
        'small.py': "model = dict(type='mmpretrain.LeNet5', num_classes=4)\n",
        'short.csv': 'arch,a\n11111111\n',
        'counted.csv': 'arch,macs_counted\n11111111,3\n',
        'alien.csv': 'arch\nx\n',
        'latin.csv': 'arch\n\xe4\n',
        'endless.csv': f'arch\n{ENDLESS}',
        'header.csv': ENDLESS,
    }.items():
        (place / name).write_text(text, encoding='latin-1')
    (place / 'link.csv').symlink_to(place / 'in.csv')
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
