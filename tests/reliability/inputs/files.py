# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Writers of good files of every kind, and readers that give what can be compared."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable

from hpml_mm.config.overrides import read_config
from hpml_mm.datasets import CocoPoseDataset, FERCSVDataset, FERFolderDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.datasets.image_io import read_image
from hpml_mm.deploy.predict import load_predictor
from hpml_mm.engine.weights import read_checkpoint
from hpml_mm.experiments.runs import read_runs
from hpml_mm.predictor import shipped
from hpml_mm.predictor.data.arch_table import ArchTable
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.predictor_file import load_score_predictor
from hpml_mm.predictor.spaces.tables import read_table

ROOT = Path(__file__).parents[3]

_FACES = (
    ROOT / 'configs/fer' / 'mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
)
_PREDICTOR = Path(shipped.__file__).with_name('nas-bench-macro.safetensors')


def write_faces(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 48 * 48))
    usages = ('Training', 'PublicTest', 'PrivateTest')
    rows = [
        f'{index % 7},{" ".join(map(str, face))},{usages[index % 3]}'
        for index, face in enumerate(pixels)
    ]
    path.write_text('\n'.join(['emotion,pixels,Usage', *rows, '']))


def read_faces(path: Path) -> Any:
    data = FERCSVDataset(ann_file=str(path), split=['train', 'val', 'test'])
    items = [data.get_data_info(index) for index in range(len(data))]
    return [(item['gt_label'], item['img'].tolist()) for item in items]


def write_picture(path: Path) -> None:
    """Write a picture into one of the class folders of a data set."""
    smooth = np.add.outer(np.arange(48), np.arange(48)) % 256
    noise = np.random.default_rng(0).integers(0, 9, (48, 48))
    cv2.imwrite(str(path), (smooth + noise).astype(np.uint8))


def read_picture(path: Path) -> Any:
    grey = read_image(path)
    return grey.tolist(), read_image(path, 'color').tolist()


def read_folder(path: Path) -> Any:
    """Read the picture as one of a folder of classes."""
    root = path.with_name(f'{path.name}.root')
    for name in FER_CLASSES:
        folder = root / 'train' / name
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f'{name}.png'
        if not picture.exists():
            write_picture(picture)
    link = root / 'train' / FER_CLASSES[0] / path.name
    if not link.is_symlink():
        link.symlink_to(path)
    data = FERFolderDataset(str(root), pipeline=[{'type': 'hpml_mm.LoadFace'}])
    return [data[index]['img'].tolist() for index in range(len(data))]


def _annotation(number: int) -> dict:
    points = [value for k in range(17) for value in (10 + k, 20 + k, 2)]
    return {
        'id': number,
        'image_id': number,
        'category_id': 1,
        'bbox': [10, 20, 40, 40],
        'area': 1600,
        'iscrowd': 0,
        'num_keypoints': 17,
        'keypoints': points,
    }


def write_poses(path: Path) -> None:
    images = [
        {'id': n, 'file_name': f'{n}.jpg', 'width': 100, 'height': 80} for n in (1, 2)
    ]
    for image in images:
        path.with_name(image['file_name']).touch()
    content = {
        'images': images,
        'annotations': [_annotation(n) for n in (1, 2)],
        'categories': [{'id': 1, 'name': 'person'}],
    }
    path.write_text(json.dumps(content, indent=1))


def read_poses(path: Path, **settings: Any) -> Any:
    data = CocoPoseDataset(
        path.name, data_root=str(path.parent), data_prefix={'img': ''}, **settings
    )
    items = [data.get_data_info(index) for index in range(len(data))]
    return [(i['img_id'], i['bbox'].tolist(), i['keypoints'].tolist()) for i in items]


def write_detections(path: Path) -> None:
    write_poses(path.with_name('poses.json'))
    found = [
        {'image_id': n, 'category_id': 1, 'bbox': [1, 2, 30, 40], 'score': 0.5}
        for n in (1, 2)
    ]
    path.write_text(json.dumps(found, indent=1))


def read_detections(path: Path) -> Any:
    poses = path.with_name('poses.json')
    return read_poses(poses, bbox_file=str(path), test_mode=True)


def write_boxes(path: Path) -> None:
    path.write_text(json.dumps({'a.jpg': [[1, 2, 30, 40]], 'b.jpg': []}, indent=1))


def write_config(path: Path) -> None:
    settings = {'model': {'type': 'ToyNet', 'width': 8}, 'train_cfg': {'max_epochs': 3}}
    if path.suffix == '.json':
        path.write_text(json.dumps(settings, indent=1))
    elif path.suffix == '.yaml':
        path.write_text(
            'model:\n  type: ToyNet\n  width: 8\ntrain_cfg:\n  max_epochs: 3\n'
        )
    else:
        lines = [f'{name} = {value!r}' for name, value in settings.items()]
        path.write_text('\n'.join([*lines, '']))


def read_settings(path: Path) -> Any:
    return read_config(str(path)).to_dict()


@cache
def _network() -> tuple:
    """Build a small classifier, and its description."""
    from hpml_mm.deploy.describe import spec_of
    from hpml_mm.deploy.network import plain_network
    from hpml_mm.utils.model import build_model

    cfg = read_config(str(_FACES))
    model = build_model(cfg).eval()
    return model, plain_network(model), spec_of(cfg, model)


def write_onnx(path: Path) -> None:
    from hpml_mm.deploy.export import export_onnx

    _, network, spec = _network()
    export_onnx(network, spec, path)


def write_openvino(path: Path) -> None:
    import openvino

    from hpml_mm.deploy.spec import METADATA_KEY

    onnx = path.with_suffix('.onnx')
    write_onnx(onnx)
    model = openvino.convert_model(onnx)
    model.set_rt_info(_network()[2].to_json(), METADATA_KEY)
    openvino.save_model(model, path, compress_to_fp16=False)


def predict(path: Path) -> Any:
    picture = path.with_name('picture.png')
    if not picture.exists():
        write_picture(picture)
    config = str(_FACES) if path.suffix == '.safetensors' else None
    prediction = load_predictor(path, config)(picture)
    return {name: round(score, 3) for name, score in prediction.scores.items()}


def write_safetensors(path: Path) -> None:
    from safetensors.torch import save_file

    save_file(_network()[0].state_dict(), path, {'format': 'pt'})


def read_weights(path: Path) -> Any:
    state = read_checkpoint(str(path))['state_dict']
    return {name: weight.tolist() for name, weight in state.items()}


def write_graphs(path: Path) -> None:
    from hpml_mm.predictor.graphs.graph import Entry
    from hpml_mm.predictor.spaces import get_space

    space = get_space('nas-bench-macro')
    archs = ['11111111', '02111010']
    GraphCache.from_entries(
        Entry(arch, space.graph(space.decode(arch)), arch, {'top1(%)': 90.0})
        for arch in archs
    ).save(path)


def read_graphs(path: Path) -> Any:
    return [
        (entry.name, entry.arch, entry.metrics, entry.graph.ops.tolist())
        for entry in GraphCache.load(path)
    ]


def write_predictor(path: Path) -> None:
    path.write_bytes(_PREDICTOR.read_bytes())


def read_predictor(path: Path) -> Any:
    predictor = load_score_predictor(path)
    return {name: array.tolist() for name, array in predictor.to_arrays().items()}


def write_results(path: Path) -> None:
    path.write_bytes((ROOT / 'results' / 'fer-input.csv').read_bytes())


def write_table(path: Path) -> None:
    archs = [';'.join([block] * 20) for block in ('5-4', '3-4', '7-6')]
    rows = [f'{arch},75.{n},{n}00000,5' for n, arch in enumerate(archs, start=1)]
    path.write_text('\n'.join(['arch,acc,macs,params', *rows, '']))


def write_cells(path: Path) -> None:
    cell = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
    path.write_text(f'arch,cellstr,cifar10-test\n7,{cell},84.25\n8,{cell},84.5\n')


def write_macro(path: Path) -> None:
    facts = {'mean_acc': 90.0, 'std': 0.1, 'params': 1000, 'flops': 5}
    archs = ('11111111', '02111010')
    path.write_text(json.dumps(dict.fromkeys(archs, facts), indent=1))


def read_table_of(space: str) -> Callable[[Path], Any]:
    return lambda path: [(row.arch, row.metrics) for row in read_table(path, space)]


def read_archs(path: Path) -> Any:
    table = ArchTable.read(path)
    return table.header, table.archs


def write_summary(path: Path) -> None:
    content = {
        'status': 'finished',
        'mode': 'train',
        'metrics': {'accuracy': 60.0},
        'environment': {'commit': 'a', 'dirty': False, 'device': 'CPU', 'torch': '2'},
    }
    path.write_text(json.dumps(content, indent=1))


def read_summary(path: Path) -> Any:
    return list(read_runs([path]).values())
