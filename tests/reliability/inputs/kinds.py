# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kinds of files that are read, each with a writer and a reader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.deploy.prediction_files import read_boxes
from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.graphs.onnx.reader import onnx_graph

from . import files


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: Name of a good file.
        write: Writes one.
        read: Reads one; returns what can be compared.
        is_text: True where encoding and line ends may differ.
        checked: True where the format holds checksums, or a text in which no byte can
            be another one: then what is damaged is never read as something else.
        takes: Names of damages that are none: another value is right.
        slow: True where a good file takes seconds to make.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    is_text: bool = False
    checked: bool = True
    takes: tuple[str, ...] = ()
    slow: bool = False


# Numbers that have no sense here may have one elsewhere.
_LESS = 'the first number negative'
_NUMBERS = (_LESS, *(f'the first number {it}' for it in ('NaN', 'huge', 'a word')))
_ONNX = ('a.onnx', files.write_onnx)
_WEIGHTS = ('a.safetensors', files.write_safetensors)
KINDS = {
    'faces in a CSV file': Kind(
        'a.csv', files.write_faces, files.read_faces, is_text=True, checked=False
    ),
    'PNG': Kind('a.png', files.write_picture, files.read_picture, takes=('a picture',)),
    'JPEG': Kind('a.jpg', files.write_picture, files.read_picture, checked=False),
    'BMP': Kind('a.bmp', files.write_picture, files.read_picture, checked=False),
    'PGM': Kind('a.pgm', files.write_picture, files.read_picture, checked=False),
    'TIFF': Kind('a.tiff', files.write_picture, files.read_picture, checked=False),
    'WebP': Kind('a.webp', files.write_picture, files.read_picture, checked=False),
    'a face of a folder': Kind(
        'a.png', files.write_picture, files.read_folder, takes=('a picture',)
    ),
    "poses in COCO's format": Kind(
        'a.json', files.write_poses, files.read_poses, is_text=True
    ),
    'detected boxes': Kind(
        'a.json', files.write_detections, files.read_detections, is_text=True
    ),
    'boxes to predict': Kind(
        'a.json',
        files.write_boxes,
        read_boxes,
        is_text=True,
        takes=('an empty object', _LESS),
    ),
    'config': Kind(
        'a.py', files.write_config, files.read_settings, is_text=True, takes=_NUMBERS
    ),
    'config as JSON': Kind(
        'a.json', files.write_config, files.read_settings, is_text=True, takes=_NUMBERS
    ),
    'config as YAML': Kind(
        'a.yaml',
        files.write_config,
        files.read_settings,
        is_text=True,
        checked=False,
        takes=_NUMBERS,
    ),
    'graph of ONNX': Kind(
        *_ONNX, lambda path: repr(onnx_graph(path)), checked=False, slow=True
    ),
    'engine of ONNX': Kind(*_ONNX, files.predict, checked=False, slow=True),
    'engine of OpenVINO': Kind(
        'a.xml', files.write_openvino, files.predict, checked=False, slow=True
    ),
    'weights': Kind(*_WEIGHTS, files.read_weights, checked=False),
    'weights to predict': Kind(*_WEIGHTS, files.predict, checked=False, slow=True),
    'graph cache': Kind('a.cache', files.write_graphs, files.read_graphs),
    'predictor': Kind('a.safetensors', files.write_predictor, files.read_predictor),
    'result rows': Kind(
        'a.csv', files.write_results, read_results, is_text=True, takes=(_LESS,)
    ),
    'table of archs': Kind(
        'a.csv',
        files.write_table,
        files.read_table_of('ofa-mbv3-w1.0'),
        is_text=True,
        takes=(_LESS,),
    ),
    'table of cells': Kind(
        'a.csv',
        files.write_cells,
        files.read_table_of('nas-bench-201'),
        is_text=True,
        takes=(_LESS,),
    ),
    'table of NAS-Bench-Macro': Kind(
        'a.json',
        files.write_macro,
        files.read_table_of('nas-bench-macro'),
        is_text=True,
        takes=(_LESS,),
    ),
    'table to predict': Kind(
        'a.csv', files.write_table, files.read_archs, is_text=True, takes=(_LESS,)
    ),
    'summary of a run': Kind(
        'summary.json',
        files.write_summary,
        files.read_summary,
        is_text=True,
        takes=(_LESS,),
    ),
}
