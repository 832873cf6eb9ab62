# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml data eda`` on faces, on any class folders, on a config with poses."""

import json

import cv2
import numpy as np
import pytest
from toy_tools import ROOT

from hpml_mm.cli import main
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.datasets.fer.convert import folder_to_csv, write_folder


def face(level):
    return np.full((48, 48), level, np.uint8)


@pytest.fixture
def faces(tmp_path):
    """A face of each class in two splits, one of them in both."""
    items = [(face(i), 'train', i, '0.png') for i in range(7)]
    items += [(face(100 + i), 'val', i, '0.png') for i in range(6)]
    items += [(face(6), 'val', 6, '0.png')]
    write_folder(items, tmp_path / 'faces')
    return tmp_path / 'faces'


def surveyed(capsys, *words):
    main(['data', 'eda', *map(str, words), '--json'])
    return json.loads(capsys.readouterr().out)


def test_folder_file_and_array_give_the_same_numbers(faces, tmp_path, capsys):
    folder = surveyed(capsys, faces)
    assert folder['classes'] == {name: {'train': 1, 'val': 1} for name in FER_CLASSES}
    assert folder['duplicates']['crossing'] == 1
    folder_to_csv(faces, tmp_path / 'faces.csv')
    config = tmp_path / 'array.py'
    kind = f"type='hpml_mm.FaceArrayDataset', cache_dir={str(tmp_path / 'cache')!r}"
    source = f"type='hpml_mm.FERFolderDataset', data_root={str(faces)!r}"
    config.write_text(
        f"""
dataset = dict({kind}, source=dict({source}))
train_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset)
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(
    {kind}, source=dict({source}, split='val')))
"""
    )
    for other in (tmp_path / 'faces.csv', config):
        found = surveyed(capsys, other)
        for key in ('classes', 'images', 'sizes', 'intensity'):
            assert found[key] == folder[key]
        assert found['duplicates']['groups'] == 1


def test_any_class_folders_and_a_damaged_image(tmp_path, capsys):
    for name in ('cat', 'dog'):
        (tmp_path / 'pets' / name).mkdir(parents=True)
        for number, size in enumerate((8, 16)):
            path = tmp_path / 'pets' / name / f'{number}.png'
            cv2.imwrite(str(path), np.full((size, size, 3), len(name), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    out = tmp_path / 'out'
    main(['data', 'eda', str(tmp_path / 'pets'), '--out', str(out)])
    shown = capsys.readouterr().out
    assert '1 images are damaged' in shown
    record = json.loads((out / 'eda.json').read_text())
    assert record['classes'] == {'cat': {'all': 2}, 'dog': {'all': 2}}
    assert record['images'] == {'all': 3}
    assert record['sizes']['largest'] == [16, 16]
    for name in ('classes', 'intensity', 'sizes', 'samples'):
        assert cv2.imread(str(out / f'{name}.png')).std() > 0


@pytest.mark.slow
@pytest.mark.real_data
def test_poses_of_a_config(real_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('HPML_MM_DATA', str(real_data))
    config = next((ROOT / 'configs' / 'cat_pose').glob('e00_*.py'))
    record = surveyed(capsys, config, '--max-images', '20')
    assert record['entries'] == {'train': 1091, 'val': 140}
    assert record['keypoints']['Nose']['train'] > record['keypoints']['R_Hip']['train']


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['gone.py'], "no config file 'gone.py'"),
        (['nothing'], 'neither class folders nor'),
        (['nothing', '--max-images', '0'], '--max-images 0: at least 1'),
        (['nothing', '--cfg-options', 'a=1'], 'nothing is no config'),
    ],
)
def test_what_cannot_be_surveyed_is_one_line(
    words, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(SystemExit) as caught:
        main(['data', 'eda', *words])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
