# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Draw demonstration faces into folders OUT/{train,val,test}/CLASS.

    hpml data faces --out work_dirs/faces

A picture of the first ones is OUT/contact_sheet.png.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from hpml_mm.datasets import DemoFaceDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES, SPLITS
from hpml_mm.datasets.fer.convert import new_path, write_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='write the folders here, where nothing is yet',
    )
    parser.add_argument(
        '--num-per-class', type=int, default=20, help='of each class in each split'
    )
    parser.add_argument('--seed', type=int, default=0, help='equal seeds, equal faces')


def contact_sheet(faces: DemoFaceDataset, num_columns: int = 12) -> np.ndarray:
    """One row for each class, in label order, enlarged twice."""
    columns = min(num_columns, len(faces) // len(FER_CLASSES))
    images = [faces.get_data_info(i)['img'] for i in range(columns * len(FER_CLASSES))]
    rows = [np.hstack(images[label :: len(FER_CLASSES)]) for label in range(7)]
    return cv2.resize(np.vstack(rows), None, fx=2, fy=2)


def run(args: argparse.Namespace) -> None:
    with new_path(args.out) as folder:
        faces = DemoFaceDataset(list(SPLITS), args.num_per_class, args.seed)
        items = map(faces.get_data_info, range(len(faces)))
        write_folder(
            (
                (item['img'], item['split'], item['gt_label'], _file_name(item))
                for item in items
            ),
            folder,
        )
        sheet = cv2.imencode('.png', contact_sheet(faces))[1]
        (folder / 'contact_sheet.png').write_bytes(sheet.tobytes())
    print(f'drew {len(faces):,} faces into {args.out}')


def _file_name(item: dict) -> str:
    return f'{int(item["img_path"].rpartition("/")[2]):06d}.png'
