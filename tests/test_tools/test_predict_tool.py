# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import contextlib
import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from deploy_models import FACES, build_leaf, leaf
from mmengine.config import Config
from pose_spots import SPOT, save_weights, write_config, write_spots

from hpml_mm.cli import main
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engines import OnnxEngine
from hpml_mm.deploy.export import export_onnx
from hpml_mm.deploy.network import plain_network
from hpml_mm.engine.weights import export_weights, load_fitting
from hpml_mm.quantization.backends import BACKENDS
from hpml_mm.utils.model import build_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def models(tmp_path_factory) -> Path:
    """A classifier of faces as checkpoint, safetensors and ONNX."""
    folder = tmp_path_factory.mktemp('models')
    cfg, model = leaf(FACES), build_leaf(FACES)
    meta = {'cfg': cfg.pretty_text, 'config': Path(FACES).stem}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'a.pth')
    torch.save({'state_dict': model.state_dict()}, folder / 'bare.pth')
    export_weights(str(folder / 'a.pth'), str(folder / 'a.safetensors'))
    export_onnx(plain_network(model), spec_of(cfg, model), folder / 'a.onnx')
    return folder


def _png_head(width: int, height: int) -> bytes:
    """A PNG of one chunk of pixels that claims a size."""
    head = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    parts = ((b'IHDR', head), (b'IDAT', zlib.compress(b'\0\0')), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data))
        + kind
        + data
        + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in parts
    )


@pytest.fixture
def faces(tmp_path, monkeypatch) -> Path:
    """Three pictures of noise in ``in``, below the working directory."""
    rng = np.random.default_rng(0)
    for name, size in (('a.png', 48), ('b.jpg', 48), ('sub/c.png', 90)):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (size, size), np.uint8))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    return tmp_path


def records(*arguments) -> list[dict]:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(['predict', *map(str, arguments), '--json'])
    return json.loads(printed.getvalue())


def test_every_kind_of_file_says_the_same_and_draws(models, faces, capsys):
    config = ['--config', ROOT / 'configs' / FACES]
    found = [
        records(models / 'a.pth', 'in', '--out', 'pth'),
        records(models / 'a.safetensors', 'in'),
        records(models / 'a.onnx', 'in'),
        records(models / 'bare.pth', 'in', *config),
    ]
    first = found[0]
    assert [one['image'] for one in first] == ['in/a.png', 'in/b.jpg', 'in/sub/c.png']
    for other in found[1:]:
        for one, two in zip(first, other, strict=True):
            assert one['class'] == two['class']
            assert one['scores'] == pytest.approx(two['scores'], abs=1e-4)
    best = first[0]
    assert tuple(best['scores']) == FER_CLASSES
    assert (
        best['score'] == max(best['scores'].values()) == best['scores'][best['class']]
    )
    line = f'in/a.png: {best["class"]} {best["score"]:.3f}'
    assert line in capsys.readouterr().err.splitlines()
    drawn = sorted(path.name for path in Path('pth').rglob('*.png'))
    assert drawn == ['a.png.png', 'b.jpg.png', 'c.png.png']
    picture = cv2.imread('pth/a.png.png')
    plain = cv2.resize(cv2.imread('in/a.png'), (256, 256))
    assert picture.shape == plain.shape
    changed = (picture != plain).any(axis=2)
    assert changed[:40].any()  # the text
    assert not changed[60:].any()


def test_damaged_images_are_named_and_the_others_go_on(models, faces, capsys):
    whole = Path('in/b.jpg').read_bytes()
    Path('in/b.jpg').write_bytes(whole[: len(whole) // 2])
    Path('in/empty.png').touch()
    Path('in/huge.png').write_bytes(_png_head(1 << 17, 1 << 17))
    Path('in/lost.png').symlink_to('gone.png')
    for litter in ('in/._a.jpg', 'in/__MACOSX/sub/a.jpg', 'in/.thumbs/a.jpg'):
        Path(litter).parent.mkdir(parents=True, exist_ok=True)
        Path(litter).write_bytes(b'litter')
    with pytest.raises(SystemExit) as caught:
        main(['predict', str(models / 'a.onnx'), 'in', 'none.png', '--json'])
    assert caught.value.code == 1
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith('error')]
    assert errors == [
        'error: in/b.jpg is truncated: a JPEG without its end marker',
        'error: in/empty.png is empty',
        'error: in/huge.png claims to have 131,072 x 131,072 pixels',
        "error: no file or folder 'in/lost.png'",
        "error: no file or folder 'none.png'",
        'error: 5 of 7 images could not be read',
    ]
    assert 'drawn' not in said.err
    assert not Path('predictions').exists()
    done = [one['image'] for one in json.loads(said.out)]
    assert done == ['in/a.png', 'in/sub/c.png']


@pytest.fixture
def spots(tmp_path, monkeypatch) -> Path:
    """Pictures with a bright spot each, and a pose model that finds it."""
    write_spots(tmp_path / 'data', [0.0] * 2)
    write_config(tmp_path / 'spots.py', tmp_path / 'data')
    save_weights(tmp_path / 'spots.pth')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_poses_within_the_image_and_within_boxes(spots, capsys):
    run = ['spots.pth', 'data/0.png', '--config', 'spots.py', '--out', 'predictions']
    (whole,) = records(*run)[0]['objects']
    assert whole['box'] == [0, 0, 64, 64]
    boxes = {'0.png': [[6, 10, 50, 54], [10, 20, 40, 50]]}
    Path('boxes.json').write_text(json.dumps(boxes))
    found = records(*run, '--boxes', 'boxes.json')[0]['objects']
    assert [one['box'] for one in found] == boxes['0.png']
    for one in (whole, *found):
        assert len(one['keypoints']) == 17
        nose = one['keypoints']['Nose']
        assert (nose['x'], nose['y']) == pytest.approx(
            SPOT, abs=3
        )  # a cell has 5 pixels
        assert nose['score'] > 0.5
    lines = capsys.readouterr().err.splitlines()
    assert 'data/0.png: 17 of 17 keypoints' in lines
    assert 'data/0.png: 17 of 17 keypoints; 17 of 17 keypoints' in lines
    plain = cv2.resize(cv2.imread('data/0.png'), None, fx=4, fy=4)
    picture = cv2.imread('predictions/0.png.png')
    assert picture.shape == plain.shape
    assert (picture != plain).any()


def test_neither_weak_keypoints_nor_images_without_boxes_are_found(spots, capsys):
    run = ['spots.pth', 'data/0.png', '--config', 'spots.py', '--min-score', 2]
    records(*run)
    assert 'data/0.png: 0 of 17 keypoints' in capsys.readouterr().err
    Path('boxes.json').write_text('{"0.png": []}')
    run = ['spots.pth', 'data', '--config', 'spots.py', '--boxes', 'boxes.json']
    first, second = records(*run)
    assert first['objects'] == []
    assert len(second['objects']) == 1
    assert 'data/0.png: no object' in capsys.readouterr().err


@pytest.mark.parametrize('kind', ['fp32', 'onnxruntime', 'openvino'])
def test_a_pose_file_finds_what_the_checkpoint_finds(spots, kind):
    cfg = Config.fromfile('spots.py')
    model = build_model(cfg)
    load_fitting(model, 'spots.pth')
    network, spec = plain_network(model), spec_of(cfg, model)
    path = Path('spots.xml' if kind == 'openvino' else 'spots.onnx')
    if kind == 'fp32':
        export_onnx(network, spec, path)
    else:
        pytest.importorskip('nncf')
        # Black and white fields, as large as a cell.
        fields = torch.tensor([0.0, 255.0]).repeat(8, 1, 16, 8)
        fields = fields.repeat_interleave(4, 2).repeat_interleave(4, 3)
        mean, std = (torch.tensor(one).view(3, 1, 1) for one in (spec.mean, spec.std))
        backend = BACKENDS[kind](network, spec, [(fields - mean) / std])
        assert backend.convert(out=path).coverage.converted
    Path('boxes.json').write_text(json.dumps({'1.png': [[10, 20, 40, 50]]}))
    run = ['data/1.png', '--boxes', 'boxes.json', '--out', 'predictions']
    (exact,) = records('spots.pth', *run, '--config', 'spots.py')[0]['objects']
    drawn = cv2.imread('predictions/1.png.png')
    (found,) = records(path, *run)[0]['objects']
    assert exact['keypoints'].keys() == found['keypoints'].keys()
    if kind == 'fp32':
        assert (cv2.imread('predictions/1.png.png') == drawn).all()
    for name, point in exact['keypoints'].items():
        other = found['keypoints'][name]
        score, place = (1e-4, 1e-4) if kind == 'fp32' else (0.1, 3)
        assert other['score'] == pytest.approx(point['score'], rel=score)
        assert other['x'] == pytest.approx(point['x'], abs=place)
        assert other['y'] == pytest.approx(point['y'], abs=place)


@pytest.fixture
def wrong_files(models, faces) -> None:
    """Files that lack something, in the working directory."""
    Path('empty').mkdir()
    for name in ('a.onnx', 'bare.pth'):
        shutil.copy(models / name, name)
    torch.save({'state_dict': {}, 'meta': {'config': 'other'}}, 'named.pth')
    model = onnx.load('a.onnx')
    del model.metadata_props[:]
    onnx.save(model, 'plain.onnx')
    description = json.loads(OnnxEngine('a.onnx').spec.to_json())
    del description['mean']
    onnx.helper.set_model_props(model, {'hpml_mm': json.dumps(description)})
    onnx.save(model, 'odd.onnx')


@pytest.mark.usefixtures('wrong_files')
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['none.onnx', 'in'], "no model 'none.onnx'"),
        (['none.pth', 'in'], "no checkpoint 'none.pth'"),
        (['a.txt', 'in'], 'a.txt: no model file; known are .pth'),
        (['bare.pth', 'in'], 'bare.pth holds no config and names none: give --config'),
        (['named.pth', 'in'], "names 'other', which is not below configs"),
        (['a.onnx', 'in', '--config', 'x.py'], 'a.onnx describes itself'),
        (['plain.onnx', 'in'], 'plain.onnx does not describe itself'),
        (['odd.onnx', 'in'], 'odd.onnx: the description lacks mean'),
        (['a.onnx', 'empty'], 'empty holds no image'),
        (['a.onnx', 'in', '--boxes', 'none.json'], 'none.json'),
    ],
)
def test_what_cannot_be_run_is_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(['predict', *arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith('error: ')]
    assert message in line
    assert not Path('predictions').exists()


def test_each_face_of_a_photograph_is_classified(models, faces, capsys):
    data = pytest.importorskip('skimage.data')
    astronaut = data.astronaut()[..., ::-1]
    cv2.imwrite('in/two.png', np.hstack([astronaut, astronaut[:, ::-1]]))
    found = records(models / 'a.onnx', 'in', '--faces', '--out', 'drawn')
    # None in the noise, and two in the photograph, which is drawn once.
    assert [one['image'] for one in found] == ['in/two.png'] * 2
    left, right = (one['box'] for one in found)
    assert left[2] < 512 < right[0]
    assert all(sum(one['scores'].values()) == pytest.approx(1) for one in found)
    said = capsys.readouterr().err
    assert 'in/a.png: no face' in said
    assert f'in/two.png, [{left[0]:.0f}, {left[1]:.0f}, ' in said
    assert '1 drawn in drawn' in said
    assert [path.name for path in Path('drawn').rglob('*.png')] == ['two.png.png']
    # The part is classified as the same file would be.
    x1, y1, x2, y2 = map(round, left)
    cv2.imwrite('part.png', astronaut[y1:y2, x1:x2])
    (alone,) = records(models / 'a.onnx', 'part.png')
    assert alone['scores'] == pytest.approx(found[0]['scores'], abs=1e-6)


def test_the_sheet_of_an_explanation(models, faces, capsys):
    pytest.importorskip('captum')
    checkpoint = str(models / 'a.pth')
    start = ['explain', str(ROOT / 'configs' / FACES), checkpoint]
    main([*start, 'in', '--out', 'all.png'])
    said = capsys.readouterr().out.splitlines()
    (first, *_) = records(checkpoint, 'in')
    assert said[0] == f'in/a.png: a.png {first["class"]} {first["score"]:.3f}'
    assert said[-1] == 'written to all.png'
    whole = cv2.imread('all.png')
    # Three rows of four columns.
    assert whole.shape[1] == 6 + 4 * (192 + 6)
    other = next(name for name in FER_CLASSES if name != first['class'])
    main([*start, 'in/a.png', '--target', other, '--out', 'other.png'])
    assert other in capsys.readouterr().out
    assert not np.array_equal(cv2.imread('other.png')[50:210], whole[50:210])
    with pytest.raises(SystemExit):
        main([*start, 'in', '--target', 'sad', '--out', 'x.png'])
    assert "did you mean 'Sad'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*start, 'in', '--faces', '--out', 'x.png'])
    assert 'no image has a frontal face' in capsys.readouterr().err
    assert not Path('x.png').exists()
