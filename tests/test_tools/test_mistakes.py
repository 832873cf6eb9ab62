# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Typical mistakes of a user: each is one line, before anything is built."""

import os
import shlex

import cv2
import numpy as np
import pytest
import torch
from mistakes import COMMANDS, OPTIONS
from mmengine.registry import MODELS, Registry
from toy_tools import DATA, ROOT, TOY

from hpml_mm.cli import main
from hpml_mm.datasets.fer.classes import FER_CLASSES

FER = next((ROOT / 'configs' / 'fer').glob('*-channels-last-24e_fer2013-44px.py'))
POSE = next((ROOT / 'configs' / 'cat_pose').glob('e00_*.py'))
TABLE = {
    **{f'train toy.py --cfg-options {pair}': told for pair, told in OPTIONS.items()},
    **COMMANDS,
}
CONFIGS = {
    'toy.py': f'_base_ = {str(TOY)!r}',
    'fer.py': f"""
_base_ = {str(FER)!r}
train_dataloader = dict(dataset=dict(data_root='faces'))
val_dataloader = dict(dataset=dict(data_root='faces'))""",
    'csv.py': """
_base_ = 'fer.py'
train_dataloader = dict(dataset=dict(
    _delete_=True, type='hpml_mm.FERCSVDataset', data_root='faces',
    ann_file='no_such.csv', pipeline=[dict(type='PackInputs')]))""",
    'pose.py': f"""
_base_ = {str(POSE)!r}
train_dataloader = dict(dataset=dict(data_root='', ann_file='poses.json'))
val_dataloader = dict(dataset=dict(data_root='', ann_file='poses.json'))""",
    'unpacked.py': """
_base_ = 'fer.py'
train_dataloader = dict(dataset=dict(pipeline=[dict(type='hpml_mm.LoadFace')]))""",
    'unloaded.py': """
_base_ = 'fer.py'
train_dataloader = dict(dataset=dict(pipeline=[dict(type='PackInputs')]))""",
    'syntax.py': 'model = dict(',
    'empty.py': '',
    'cluster.py': "time = 60\npartiton = 'gpu'",
    'circle_a.py': "_base_ = 'circle_b.py'",
    'circle_b.py': "_base_ = 'circle_a.py'",
    'old.py': 'total_epochs = 9\nlr_config = dict(policy="step")',
    'baseless.py': "_base_ = 'gone_base.py'",
}
FILES = {
    'text.txt': 'hello',
    'afile': '',
    'half.pth': 'no checkpoint',
    'poses.json': '{"images": 3',
    'bad.csv': 'emotion,pixels,Usage\n0,1 2 3,Training\n',
    'good.csv': f'emotion,pixels,Usage\n0,{"1 " * 48 * 48},Training\n',
    'cols.csv': 'label,pixels\n0,1\n',
    'rows.csv': 'experiment,value\na,1\n',
}


class Hostile:
    """Would run a command when it is loaded."""

    def __reduce__(self):
        return os.system, ('touch hostile_was_here',)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Files of all kinds, to which no command may add another."""
    place = tmp_path_factory.mktemp('mistakes')
    for name, text in {**CONFIGS, **FILES}.items():
        (place / name).write_text(f'{text}\n' if text else '')
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    cv2.imwrite(str(place / 'face.png'), face)
    whole = (place / 'face.png').read_bytes()
    (place / 'cut.png').write_bytes(whole[:300])
    for name in FER_CLASSES:
        for split in ('train', 'val'):
            (place / 'faces' / split / name).mkdir(parents=True)
            (place / 'faces' / split / name / '1.png').write_bytes(whole)
        (place / 'hollow' / 'train' / name).mkdir(parents=True)
    (place / 'wrong' / 'train' / 'Hapy').mkdir(parents=True)
    for name in ('nothing', 'images'):
        (place / name).mkdir()
    (place / 'images' / 'a.jpg').touch()
    torch.save({'state_dict': {'other.weight': torch.ones(1)}}, place / 'other.pth')
    torch.save({'state_dict': {}, 'more': Hostile()}, place / 'evil.pth')
    return place


@pytest.fixture
def built(monkeypatch):
    """Names of the models that were built."""
    found = []
    build = Registry.build

    def noting(self, cfg, *arguments, **keywords):
        if self.root is MODELS.root:
            found.append(cfg)
        return build(self, cfg, *arguments, **keywords)

    monkeypatch.setattr(Registry, 'build', noting)
    return found


def test_there_are_enough():
    assert len(TABLE) >= 60


@pytest.mark.parametrize(('command', 'told'), TABLE.items(), ids=TABLE.keys())
def test_a_mistake_is_one_line_before_anything_is_built(
    command, told, folder, built, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(DATA)
    for name in ('RANK', 'WORLD_SIZE', 'HPML_MM_DEBUG', 'HPML_MM_TRUST'):
        monkeypatch.delenv(name, raising=False)
    # A logger may hold the screen of an earlier test, which is closed.
    monkeypatch.setattr('logging.raiseExceptions', False)
    before = sorted(folder.rglob('*'))
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(command))
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith('error: ')]
    assert caught.value.code == 2
    assert len(lines) == 1, said
    assert said.splitlines()[-1] == lines[0]
    assert 'Traceback' not in said
    for part in told:
        assert part in lines[0]
    assert built == []
    assert sorted(folder.rglob('*')) == before
