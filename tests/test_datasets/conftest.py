# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small made-up data sets in FER2013's layouts."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from hpml_mm.datasets import CatPoseDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES


@pytest.fixture
def make_split() -> Callable[..., Path]:
    """A function that fills one split folder with faces of one grey each.

    The n-th face of class c is filled with the grey ``10 * c + n``.
    """

    def make(folder: Path, per_class: int = 2, names: tuple = FER_CLASSES) -> Path:
        for label, class_name in enumerate(names):
            (folder / class_name).mkdir(parents=True)
            for number in range(per_class):
                image = np.full((48, 48), 10 * label + number, np.uint8)
                cv2.imwrite(str(folder / class_name / f'{number}.png'), image)
        return folder

    return make


@pytest.fixture
def make_csv(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a CSV file from rows of (emotion, grey, usage)."""

    def make(rows: list, header: str = 'emotion,pixels,Usage') -> Path:
        path = tmp_path / 'fer2013.csv'
        lines = [header]
        for emotion, grey, usage in rows:
            pixels = grey if isinstance(grey, str) else ' '.join([str(grey)] * 2304)
            lines.append(f'{emotion},{pixels},{usage}')
        path.write_text('\n'.join(lines) + '\n')
        return path

    return make


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What is logged; MMEngine's logger does not hand it on to pytest's."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


@pytest.fixture(scope='session')
def cat_meta() -> dict:
    """What the data set knows of 17 keypoints."""
    return CatPoseDataset(lazy_init=True).metainfo
