# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch
from pose_spots import save_weights, write_config, write_spots

from hpml_mm.cli import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

# Pixels between the truth and what the model finds.
OFFSETS = [0, 2, 1, 9, 0, 3, 6, 1]
SIDE, GAP, LINE = 320, 6, 20


@pytest.fixture
def spots(tmp_path, monkeypatch) -> Path:
    """A folder with pictures, two configs and a checkpoint, as working directory."""
    write_spots(tmp_path / 'data', OFFSETS)
    write_config(tmp_path / 'small.py', tmp_path / 'data')
    write_config(tmp_path / 'large.py', tmp_path / 'data', size=128)
    save_weights(tmp_path / 'spots.pth')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def draw(spots, capsys) -> Callable[..., str]:
    """Run the tool and return what it prints; an error ends in SystemExit."""

    def run(*arguments) -> str:
        main(['poses', 'small.py', 'spots.pth', '--out', 'a.png', *map(str, arguments)])
        return capsys.readouterr().out

    return run


def drawn(output: str) -> list[int]:
    """Ids of the objects that were drawn, in order."""
    return [int(line.split()[1][1:]) for line in output.splitlines() if '  #' in line]


def table(path='a.png') -> tuple[int, int]:
    """Rows and columns of a sheet."""
    height, width = cv2.imread(path).shape[:2]
    rows = (height - GAP - LINE) / (LINE + SIDE + GAP)
    columns = (width - GAP) / (SIDE + GAP)
    assert rows == int(rows)
    assert columns == int(columns)
    return int(rows), int(columns)


def test_the_worst_come_first(draw):
    output = draw('--worst', '--num', 3)
    assert drawn(output) == [103, 106, 105]
    assert 'Mean OKS of 8 objects: 0.' in output
    assert table() == (3, 2)


def test_without_a_choice_objects_are_spread_over_the_data(draw):
    assert drawn(draw('--num', 3)) == [100, 104, 107]
    assert drawn(draw('--num', 99)) == list(range(100, 108))


def test_indices_are_drawn_in_their_order_with_heatmaps(draw):
    assert drawn(draw('--indices', 5, 1, '--heatmaps')) == [105, 101]
    assert table() == (2, 3)
    everything = Path('a.png').read_bytes()
    # All keypoints have the same heatmaps here, so one looks like their maximum.
    draw('--indices', 5, 1, '--heatmaps', 'Nose', '--out', 'b.png')
    assert table('b.png') == (2, 3)
    # A second run draws the same picture, to the bit.
    draw('--indices', 5, 1, '--heatmaps', '--out', 'c.png')
    assert Path('c.png').read_bytes() == everything


def test_a_second_model_of_another_input_size_sees_the_same_objects(draw, spots):
    # Its annotations come in another order.
    content = json.loads((spots / 'data/spots.json').read_text())
    content['images'].reverse()
    (spots / 'data/reversed.json').write_text(json.dumps(content))
    config = (spots / 'large.py').read_text()
    (spots / 'large.py').write_text(config.replace('spots.json', 'reversed.json'))
    compare = ['--against', 'large.py', 'spots.pth']
    output = draw('--worst', '--num', 2, '--heatmaps', *compare)
    assert drawn(output) == [103, 106]
    assert table() == (2, 5)
    for line in output.splitlines():
        if '  #' in line:
            first, second = (float(part.split()[0]) for part in line.split('OKS')[1:])
            assert first == pytest.approx(second, abs=0.1)


def refused(draw, capsys, *arguments) -> str:
    """The one line with which the tool refuses."""
    with pytest.raises(SystemExit) as caught:
        draw(*arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith('error: ')]
    assert not Path('a.png').exists()
    return line


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--indices', 2, 8], 'no object 8: the data of spots.pth holds 0 to 7'),
        (['--heatmaps', 'Ear'], "no keypoint 'Ear'; there are: L_Eye, R_Eye"),
        (['--num', 0], '--num 0: draw at least one object'),
        (['--out', 'sheet'], '--out sheet: no kind of picture; end it in .png'),
        (['--split', 'test'], 'small.py has no test_dataloader: nothing to draw'),
        (['--against', 'no.py', 'spots.pth'], "no config file 'no.py'"),
        (['--against', 'large.py', 'no.pth'], 'no.pth'),
    ],
)
def test_what_cannot_be_drawn_is_one_line(draw, capsys, arguments, message):
    assert message in refused(draw, capsys, *arguments)


def test_models_of_different_keypoints_are_refused(draw, spots, capsys):
    config = (spots / 'large.py').read_text()
    other = config.replace('AP10KDataset', 'AnimalPoseDataset')
    (spots / 'large.py').write_text(other.replace('out_channels=17', 'out_channels=20'))
    state = {
        'head.final_layer.weight': torch.ones(20, 1, 1, 1),
        'head.final_layer.bias': torch.ones(20),
    }
    torch.save({'state_dict': state}, 'other.pth')
    line = refused(draw, capsys, '--against', 'large.py', 'other.pth')
    assert 'spots.pth predicts 17 keypoints (L_Eye' in line
    assert 'other.pth 20 (L_Eye' in line


def test_models_of_different_data_are_refused(draw, spots, capsys):
    write_spots(spots / 'few', OFFSETS[:3])
    write_config(spots / 'large.py', spots / 'few')
    line = refused(draw, capsys, '--worst', '--against', 'large.py', 'spots.pth')
    assert 'no annotation 103' in line


def test_detected_boxes_are_refused(draw, spots, capsys):
    boxes = spots / 'boxes.json'
    boxes.write_text(
        '[{"image_id": 0, "category_id": 1, "bbox": [6, 10, 44, 44], "score": 0.9}]'
    )
    option = f'val_dataloader.dataset.bbox_file={boxes}'
    line = refused(draw, capsys, '--cfg-options', option)
    assert 'leave bbox_file out' in line


def test_a_checkpoint_of_another_model_is_refused(draw, capsys):
    torch.save({'state_dict': {'other.weight': torch.ones(1)}}, 'spots.pth')
    assert 'holds no weight of this model' in refused(draw, capsys)
