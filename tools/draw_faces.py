# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Draw demonstration faces into class folders, with a contact sheet."""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from hpml_mm.datasets import DemoFaceDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES, SPLITS
from hpml_mm.datasets.fer.convert import new_path, write_folder


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Draw faces into OUT/{train,val,test}/CLASS/*.png, and a picture '
        'of the first ones into OUT/contact_sheet.png.'
    )
    parser.add_argument('out', type=Path, metavar='OUT', help='must not exist')
    parser.add_argument(
        '--num-per-class', type=int, default=20, help='of each class in each split'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args(argv)


def contact_sheet(faces: DemoFaceDataset, num_columns: int = 12) -> np.ndarray:
    """One row for each class, in label order, enlarged twice."""
    columns = min(num_columns, len(faces) // len(FER_CLASSES))
    images = [faces.get_data_info(i)['img'] for i in range(columns * len(FER_CLASSES))]
    rows = [np.hstack(images[label :: len(FER_CLASSES)]) for label in range(7)]
    return cv2.resize(np.vstack(rows), None, fx=2, fy=2)


def main(argv: list[str] | None = None) -> None:
    """Draw and write."""
    args = parse_args(argv)
    try:
        faces = DemoFaceDataset(list(SPLITS), args.num_per_class, args.seed)
        items = map(faces.get_data_info, range(len(faces)))
        with new_path(args.out) as folder:
            write_folder(
                (
                    (item['img'], item['split'], item['gt_label'], _file_name(item))
                    for item in items
                ),
                folder,
            )
            sheet = cv2.imencode('.png', contact_sheet(faces))[1]
            (folder / 'contact_sheet.png').write_bytes(sheet)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'drew {len(faces):,} faces into {args.out}')


def _file_name(item: dict) -> str:
    return f'{int(item["img_path"].rpartition("/")[2]):06d}.png'


if __name__ == '__main__':
    main()
