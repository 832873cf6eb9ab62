# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The table beside stock MMEngine: each line leads to its proof."""

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from python_process import run_python
from toy_tools import ROOT, environment, toy_config, toy_runner

from hpml_mm.config.check import check_config
from hpml_mm.experiments.rows import ResultRow, read_results

TABLE = re.compile('<!-- beside stock -->\n(.*?)<!-- /beside stock -->', re.DOTALL)
SCHEDULE = [{'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}]
# A table's copies may be in any document.
LINES = sorted(
    {
        line
        for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]
        for table in TABLE.findall(path.read_text(encoding='utf-8'))
        for line in table.splitlines()[2:]
        if not line.startswith('| **')
    }
)


def numbers(text: str) -> list[str]:
    """Numbers of a cell, without those within a name."""
    return re.findall(r'(?<![\w-])\d[\d,]*\.?\d*|(?<![\w-])\.\d+', text)


def rounds_to(value: float | None, shown: str) -> bool:
    """True if a value, written as exactly as this number, is this number."""
    if value is None:
        return False
    plain = shown.replace(',', '')
    digits = len(plain.lstrip('0.').replace('.', ''))
    if plain.endswith('0') and '.' not in plain:  # 2,500 may be 2,499.5
        digits = len(plain.rstrip('0'))
    return float(f'{value:.{digits}g}') == float(plain)


def lacks(found: list[str], rows: list[ResultRow]) -> list[str]:
    """Numbers that no row has."""
    values = [
        value
        for row in rows
        for value in (row.value, row.spread, row.n, row.ratio, row.baseline)
    ]
    return [
        shown for shown in found if not any(rounds_to(value, shown) for value in values)
    ]


def test_the_table_is_there():
    assert len(LINES) >= 12


@pytest.mark.parametrize('line', LINES, ids=lambda line: line.split(' | ')[0][2:])
def test_a_line_is_proved(line):
    *cells, proof = line.strip('| ').split(' | ')
    proofs = re.findall('`([^`]+)`', proof)
    if proofs[0].endswith('.csv'):
        rows = [
            row
            for row in read_results(ROOT / proofs[0])
            if fnmatchcase(row.experiment, proofs[1])
        ]
        found = [shown for cell in cells[1:] for shown in numbers(cell)]
        assert found
        lacking = {
            device: lacks(found, [row for row in rows if row.device == device])
            for device in {row.device for row in rows}
        }
        # All of a line are of one machine.
        assert [] in lacking.values(), lacking
        return
    for one in proofs:
        path, _, name = one.partition('::')
        tree = ast.parse((ROOT / path).read_text(encoding='utf-8'))
        assert name in {getattr(node, 'name', None) for node in tree.body}, one


@pytest.mark.parametrize(
    ('value', 'shown', 'right'),
    [
        (2499.51, '2,500', True),
        (0.2928, '.29', True),
        (2.6312, '2.63', True),
        (2.6312, '2.64', False),
        (None, '1', False),
    ],
)
def test_a_number_is_that_of_a_row(value, shown, right):
    assert rounds_to(value, shown) == right


@pytest.mark.slow
def test_a_misspelt_key(tmp_path):
    """MMEngine trains at one rate; here the right key is named."""
    runner = toy_runner(tmp_path, param_scheduler=None, param_schedular=SCHEDULE)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'] == [0.1]
    with pytest.raises(ValueError, match="did you mean 'param_scheduler'"):
        check_config(toy_config(tmp_path, param_schedular=SCHEDULE))


def test_the_codec_of_a_child(tmp_path):
    """MMEngine merges it, and every copy stays that of the parent."""
    parent = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    parent += 'td-hm_res50_8xb64-210e_coco-256x192.py'
    size = 'codec = dict(input_size=(96, 128))'
    (tmp_path / 'child.py').write_text(f'_base_ = {parent!r}\n{size}\n')
    cfg = Config.fromfile(tmp_path / 'child.py')
    sizes = [step.get('input_size') for step in cfg.train_pipeline]
    assert cfg.codec.input_size == (96, 128)
    assert (192, 256) in sizes
    with pytest.raises(ValueError, match='input_size'):
        check_config(cfg)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self):
        return eval, (f'__import__("os").mkdir({self.place!r})',)


LOAD = 'from mmengine.runner import load_checkpoint\nimport torch\n'
CALL = 'load_checkpoint(torch.nn.Linear(1, 1), "a.pth")\n'


@pytest.mark.slow
@pytest.mark.parametrize('plugin', ['', 'import hpml_mm\n'], ids=['stock', 'hpml_mm'])
def test_code_in_a_checkpoint(tmp_path, plugin):
    ran = tmp_path / 'ran'
    weights = torch.nn.Linear(1, 1).state_dict()
    torch.save({'state_dict': weights, 'meta': Payload(ran)}, tmp_path / 'a.pth')
    (tmp_path / 'load.py').write_text(plugin + LOAD + CALL)
    done = run_python(['load.py'], tmp_path, environment())
    assert ran.is_dir() == (plugin == '')
    assert ('holds the object eval' in done.stderr) == (plugin != '')
