# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest

from hpml_mm.deploy.face_detector import detect_faces

data = pytest.importorskip('skimage.data')


def test_each_face_of_a_photograph_is_found_from_left_to_right():
    astronaut = data.astronaut()[..., ::-1]
    (box,) = detect_faces(astronaut)
    # The tip of her nose, and no more than a head around it.
    assert box[0] < 224 < box[2]
    assert box[1] < 115 < box[3]
    assert 60 < box[2] - box[0] < 150
    two = np.hstack([astronaut[:300], astronaut[:300, ::-1]])
    first, second = detect_faces(two)
    assert first[2] < 512 < second[0]


def test_nothing_is_found_where_there_is_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert detect_faces(noise) == []
    assert detect_faces(noise[:20, :20]) == []
