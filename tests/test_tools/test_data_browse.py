# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml data browse`` on drawn faces and on a pose with known places."""

import cv2
import numpy as np
import pytest
from toy_tools import ROOT

from hpml_mm.cli import main
from hpml_mm.config.overrides import load_config
from hpml_mm.datasets.browse import DataBrowser
from hpml_mm.visualization.sheet import GAP, LINE

DEMO = next((ROOT / 'configs' / 'demo').glob('*.py'))
FEW = ['--cfg-options', 'train_dataloader.dataset.num_per_class=3']
POSE = """
default_scope = 'mmpose'
codec = dict(type='UDPHeatmap', input_size=(48, 48), heatmap_size=(12, 12), sigma=2)
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(
    type='hpml_mm.CatPoseDataset', data_root={root!r}, ann_file='poses.json',
    data_prefix=dict(img='images'), pipeline=[
        dict(type='LoadImage'), dict(type='GetBBoxCenterScale', padding=1.0),
        dict(type='TopdownAffine', input_size=(48, 48)),
        dict(type='PackPoseInputs')]))
"""


@pytest.fixture
def pose_config(tmp_path):
    """An animal in the box from (10, 20) to (50, 60), and a blue picture."""
    from test_datasets import toy_poses

    toy_poses.write(tmp_path, toy_poses.content([toy_poses.annotation(1, 1)]))
    picture = np.full((toy_poses.HEIGHT, toy_poses.WIDTH, 3), (200, 0, 0), np.uint8)
    for path in (tmp_path / 'images').iterdir():
        cv2.imwrite(str(path), picture)
    config = tmp_path / 'pose.py'
    config.write_text(POSE.format(root=str(tmp_path)))
    return config


def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_sheet_holds_each_sample_of_an_epoch_once(tmp_path, capsys):
    words = ['data', 'browse', str(DEMO), '-n', '99', '--side', '40', *FEW]
    main([*words, '--out', str(tmp_path / 'a.png')])
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f'21 samples in {tmp_path / "a.png"}'
    names = [line.split('  ')[0] for line in lines]
    assert len(set(names)) == 21
    assert sum('  Angry  ' in line for line in lines) == 3
    assert all(line.endswith('48 x 48 -> 44 x 44') for line in lines)
    rows, columns = 4, 6
    wanted = (GAP + rows * (LINE + 40 + GAP), GAP + columns * (40 + GAP), 3)
    assert read(tmp_path / 'a.png').shape == wanted

    main([*words, '--out', str(tmp_path / 'again.png')])
    main([*words, '--out', str(tmp_path / 'other.png'), '--seed', '1'])
    first = (tmp_path / 'a.png').read_bytes()
    assert (tmp_path / 'again.png').read_bytes() == first
    assert (tmp_path / 'other.png').read_bytes() != first


def test_steps_show_what_the_pipeline_made():
    cfg = load_config(str(DEMO), {'train_dataloader.dataset.num_per_class': 1})
    (sample,) = DataBrowser(cfg, 'train', seed=3).read(1)
    kinds = [step['type'] for step in cfg.train_dataloader.dataset.pipeline]
    assert [step.step for step in sample.steps] == [
        *(kind.rpartition('.')[2] for kind in kinds[:-1]),
        'inputs',
    ]
    packed = sample.item['inputs'].numpy()[0]
    assert (sample.steps[-1].image == packed[..., None]).all()
    assert (sample.steps[-2].image == packed[..., None]).all()
    assert sample.original.image.shape == (48, 48, 3)


def test_keypoints_move_with_the_picture(pose_config):
    (sample,) = DataBrowser(load_config(str(pose_config)), 'train').read(1)
    assert sample.original.boxes.tolist() == [[10, 20, 50, 60]]
    assert sample.original.points[0, :2].tolist() == [[10, 20], [11, 21]]
    red, _, blue = sample.original.image[0, 0].tolist()
    assert red < 10 < 190 < blue  # not BGR
    last = sample.steps[-1]
    assert last.boxes is None
    # The box fills the 48 pixels: 1.2 of them for one of the file.
    np.testing.assert_allclose(last.points[0, 5], (5 * 1.2, 5 * 1.2), atol=0.6)


def test_a_mixed_batch_is_shown_as_the_model_gets_it(tmp_path, capsys):
    config = tmp_path / 'mixed.py'
    config.write_text(
        f"_base_ = {str(DEMO)!r}\nmodel = dict(type='ImageClassifier', train_cfg=dict("
        "augments=dict(type='Mixup', alpha=1.0)),\n"
        '             data_preprocessor=dict(num_classes=7))\n'
    )
    out = tmp_path / 'sheet'
    words = ['data', 'browse', str(config), '-m', 'batch', '-n', '4', *FEW]
    main([*words, '--output-dir', str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f'4 pictures in {out}'
    assert len(list(out.iterdir())) == 4
    assert any(' + 0.' in line for line in lines)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'give --out sheet.png, --output-dir, or --show'),
        (['--out', 'a.pgn'], '--out a.pgn: no kind of picture'),
        (['--out', 'a.png', '-n', '0'], '--show-number 0: at least 1'),
        (['--show'], '--show needs a display'),
        (['--out', 'a.png', '-p', 'test'], 'no test_dataloader with a dataset'),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    words, message, tmp_path, monkeypatch, capsys
):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / 'a.py'
    config.write_text(
        f'_base_ = {str(DEMO)!r}\ntest_dataloader = None\ntest_cfg = None\n'
        'test_evaluator = None\n'
    )
    with pytest.raises(SystemExit) as caught:
        main(['data', 'browse', str(config), *words])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['a.py']
