# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Annotations of LSP, LSPET and MPII from the MATLAB files in which they are published.

LSP and LSPET become a file in COCO's format, for ``LSPETDataset``; MPII becomes one of
those that MMPose's ``MpiiDataset`` reads. Coordinates stay what they are.
"""

import json
import math
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.datasets.fer.convert import new_path
from hpml_mm.datasets.image_io import read_image_size

from .dataset import LSPETDataset

#: Images of LSP's training set, which are its first.
LSP_TRAIN = 1000
#: A box reaches beyond the joints by this share of their extent, and so many pixels.
MARGIN, MORE = 0.15, 5
_MPII_JOINTS = 16


def convert_poses(
    source: str | Path,
    target: str | Path,
    images: str | Path | None = None,
    split: str | None = None,
    on_error: str = 'raise',
) -> tuple[int, int]:
    """Write the persons of a published MATLAB file into one JSON file.

    Of MPII, only persons with joints, centre and scale can be used, which its test set
    lacks; its images are not looked at.

    Args:
        source: ``joints.mat`` of LSP or LSPET, or ``mpii_human_pose_v1_u12_1.mat``:
            the content tells which.
        target: File to write.
        images: Folder of the images; None for ``images`` beside the source.
        split: ``'train'`` or ``'test'``; None for all. LSP's first 1,000 images are
            for training, all of LSPET's, and those that MPII marks.
        on_error: ``'skip'`` leaves out persons whose image cannot be read.

    Returns:
        Number of persons written, and left out.

    Raises:
        FileExistsError: The target exists.
        FileNotFoundError: The source or an image is not there.
        ValueError: The source is damaged or none of the three, or holds no person of
            the split. Nothing is left behind.
    """
    source = Path(source)
    content = _read_mat(source)
    if 'RELEASE' in content:
        persons, left_out = _mpii(content['RELEASE'], split, source)
        written: Any = persons
    elif 'joints' in content:
        folder = source.parent / 'images' if images is None else Path(images)
        people = _leeds(np.asarray(content['joints']), split, source)
        written, left_out = _coco(people, folder, on_error)
        persons = written['annotations']
    else:
        raise ValueError(
            f"{source} holds {', '.join(content) or 'nothing'}, neither LSP's and "
            "LSPET's 'joints' nor MPII's 'RELEASE'"
        )
    if not persons:
        of_split = f' of {split!r}' if split else ''
        raise ValueError(f'{source} holds no person{of_split} that can be used')
    with new_path(target) as path:
        path.write_text(json.dumps(written, allow_nan=False))
    return len(persons), left_out


def box_of_joints(points: np.ndarray, size: tuple[int, int]) -> list[float]:
    """Box (x, y, width, height) in pixels around joints (K, 2), within an image.

    It reaches beyond them by 15 % of their extent and 5 pixels, as no box is published.
    ``size`` is the image's width and height.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    beyond = MARGIN * (high - low) + MORE
    low, high = np.maximum(low - beyond, 0), np.minimum(high + beyond, size)
    return np.round([*low, *(high - low)], 2).tolist()


def _read_mat(path: Path) -> dict:
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    try:
        content = loadmat(path, simplify_cells=True)
    except NotImplementedError as error:  # HDF5
        raise ValueError(
            f'{path} is of MATLAB 7.3: save it with -v7, as it is published'
        ) from error
    except Exception as error:  # SciPy raises whatever it stumbles over
        raise ValueError(f'{path} is no whole MATLAB file: {error}') from error
    return {key: value for key, value in content.items() if not key.startswith('__')}


def _leeds(
    joints: np.ndarray, split: str | None, source: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """Image's name, and x, y and COCO's visibility (14, 3), of each person."""
    whole = joints[..., None] if joints.ndim == 2 else joints
    extended = whole.shape[:2] == (14, 3)
    if whole.ndim != 3 or not (extended or whole.shape[:2] == (3, 14)):
        raise ValueError(
            f"{source}: joints have the shape {joints.shape}, not LSP's (3, 14, N) or "
            "LSPET's (14, 3, N)"
        )
    people = whole.transpose((2, 0, 1) if extended else (2, 1, 0)).astype(float)
    wrong = ~np.isfinite(people).all(axis=2) | ~np.isin(people[..., 2], (0, 1))
    if wrong.any():
        person, joint = np.argwhere(wrong)[0]
        raise ValueError(
            f'{source}: joint {joint} of image {person + 1} is '
            f'{people[person, joint].tolist()}, not x, y and 0 or 1'
        )
    if extended:  # 1 is in sight; others have no place
        people[..., 2] *= 2
        people[people[..., 2] == 0] = 0
    else:  # 1 is hidden, but has a place
        people[..., 2] = 2 - people[..., 2]
    end = len(people) if extended else LSP_TRAIN
    chosen = {'train': slice(end), 'test': slice(end, None), None: slice(None)}[split]
    digits = 5 if extended else 4
    for index in range(len(people))[chosen]:
        yield f'im{index + 1:0{digits}}.jpg', people[index]


def _coco(
    people: Iterator[tuple[str, np.ndarray]], folder: Path, on_error: str
) -> tuple[dict, int]:
    """Annotations in COCO's format, and how many persons are left out."""
    images, annotations, left_out = [], [], 0
    for name, joints in people:
        seen = joints[joints[:, 2] > 0, :2]
        size = read_image_size(folder / name)
        if size is None and on_error == 'raise':
            raise FileNotFoundError(
                f'there is no image {folder / name} that can be read; '
                "on_error='skip' leaves such out"
            )
        if size is None or not len(seen):
            left_out += 1
            continue
        number = int(name[2:-4])
        box = box_of_joints(seen, size)
        images.append(
            {'id': number, 'file_name': name, 'width': size[0], 'height': size[1]}
        )
        annotations.append(
            {
                'id': number,
                'image_id': number,
                'category_id': 1,
                'iscrowd': 0,
                'bbox': box,
                'area': box[2] * box[3],
                'num_keypoints': len(seen),
                'keypoints': joints.round(2).ravel().tolist(),
            }
        )
    names = LSPETDataset(lazy_init=True).metainfo['keypoint_id2name']
    person = {'id': 1, 'name': 'person', 'keypoints': [names[i] for i in sorted(names)]}
    found = {'images': images, 'annotations': annotations, 'categories': [person]}
    return found, left_out


def _mpii(release: Any, split: str | None, source: Path) -> tuple[list[dict], int]:
    """Persons in the form of MMPose's ``MpiiDataset``, and how many are left out."""
    images = _structs(_field(release, 'annolist', source), source)
    training = np.atleast_1d(_field(release, 'img_train', source))
    if len(training) != len(images):
        raise ValueError(
            f'{source}: {len(training)} marks img_train for {len(images)} images'
        )
    persons, left_out = [], 0
    for image, of_training in zip(images, training, strict=True):
        if split and (split == 'train') != bool(of_training):
            continue
        name = _field(_field(image, 'image', source), 'name', source)
        place = f'{source}: image {name}'
        for rect in _structs(image.get('annorect', []), place):
            person = _mpii_person(rect, place)
            if person is None:
                left_out += 1
            else:
                persons.append({'image': name, **person})
    return persons, left_out


def _mpii_person(rect: Mapping, place: str) -> dict | None:
    """Person of an 'annorect'; None without joints, centre or scale, as in tests."""
    points, center, scale = (rect.get(key) for key in ('annopoints', 'objpos', 'scale'))
    # What is not there is an empty matrix.
    if not isinstance(points, Mapping) or not isinstance(center, Mapping):
        return None
    if not isinstance(scale, Real):
        return None
    joints, seen = [[-1.0, -1.0] for _ in range(_MPII_JOINTS)], [0] * _MPII_JOINTS
    for point in _structs(points.get('point', []), place):
        number = _field(point, 'id', place)
        if number not in range(_MPII_JOINTS):
            raise ValueError(f'{place}: a joint has the id {number!r}, not 0 to 15')
        joints[number] = _place(point, place)
        # Hidden joints have a place too: MMPose's files mark them all.
        seen[number] = 1
    return {
        'center': _place(center, place),
        'scale': float(scale),
        'joints': joints,
        'joints_vis': seen,
    }


def _place(record: Any, place: str) -> list[float]:
    values = [_field(record, axis, place) for axis in 'xy']
    if not all(isinstance(v, Real) and math.isfinite(v) for v in values):
        raise ValueError(f'{place} has the point {values}, not x, y')
    return [float(value) for value in values]


def _structs(value: Any, place: Path | str) -> list[Mapping]:
    """Structs of a MATLAB array, of which SciPy gives a single one bare."""
    if isinstance(value, Mapping):
        return [value]
    found = list(value) if isinstance(value, list | np.ndarray) else [value]
    if not all(isinstance(one, Mapping) for one in found):
        raise ValueError(f'{place} has {found!r:.40} where MPII has structs')
    return found


def _field(record: Any, key: str, place: Path | str) -> Any:
    if not isinstance(record, Mapping) or key not in record:
        raise ValueError(f'{place} has no {key!r} where MPII has one')
    return record[key]
