# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from torch import nn

from hpml_mm.datasets import DemoFaceDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.datasets.fer.draw_face import EXPRESSIONS, draw_face


def pixels(split, num_per_class, seed=0):
    faces = DemoFaceDataset(split, num_per_class, seed)
    return np.stack([faces.get_data_info(i)['img'] for i in range(len(faces))])


def test_every_class_can_be_drawn():
    assert set(EXPRESSIONS) == set(FER_CLASSES)
    face = draw_face('Happy', np.random.default_rng(0))
    assert (face.shape, face.dtype) == ((48, 48), np.uint8)
    with pytest.raises(ValueError, match="unknown expression 'Bored'"):
        draw_face('Bored', np.random.default_rng(0))


def test_faces_depend_on_seed_split_and_index_alone():
    few, many = pixels('train', 2), pixels('train', 3)
    np.testing.assert_array_equal(few, many[:14])
    assert len(np.unique(many.reshape(21, -1), axis=0)) == 21
    assert not (few == pixels('val', 2)).all(axis=(1, 2)).any()
    assert not (few == pixels('train', 2, seed=1)).all(axis=(1, 2)).any()


def test_items_are_as_those_of_real_faces():
    faces = DemoFaceDataset(['train', 'val'], 2)
    assert faces.metainfo['classes'] == FER_CLASSES
    assert faces.get_gt_labels().tolist() == list(range(7)) * 4
    assert [faces.get_data_info(i)['split'] for i in (13, 14)] == ['train', 'val']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_per_class': 0}, 'num_per_class must be at least 1, not 0'),
        ({'seed': -1}, 'seed must not be negative, but is -1'),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DemoFaceDataset(**arguments)


@pytest.mark.slow
def test_a_small_network_learns_them():
    torch.manual_seed(0)
    train, val = (
        torch.from_numpy(pixels(split, n)).float()[:, None] / 255 - 0.5
        for split, n in (('train', 100), ('val', 30))
    )
    labels = torch.arange(7).repeat(100)
    layers = []
    for c_in, c_out in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(c_in, c_out, 3, 2, 1), nn.BatchNorm2d(c_out), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 36, 7))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(12):
        for batch in torch.randperm(700).split(50):
            loss = nn.functional.cross_entropy(model(train[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        correct = model(val).argmax(1) == torch.arange(7).repeat(30)
    assert correct.float().mean() >= 0.95
