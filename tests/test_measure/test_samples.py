# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Number of samples in batches of all forms."""

import dataclasses
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.structures import BaseDataElement
from torch import zeros
from torch.nn.utils.rnn import pack_sequence

from hpml_mm.measure.samples import count_samples

IMAGE = zeros(3, 4, 4)
IMAGES = zeros(5, 3, 4, 4)
VIEWS = [IMAGES, zeros(5, 3, 2, 2)]
LABELS = zeros(5)
SAMPLE = BaseDataElement()


@dataclasses.dataclass
class Fields:
    images: torch.Tensor
    labels: torch.Tensor


@dataclasses.dataclass(slots=True)
class Slots:
    images: torch.Tensor
    labels: torch.Tensor


@dataclasses.dataclass
class Broken:
    @property
    def shape(self):
        raise RuntimeError('not yet')


@pytest.mark.parametrize(
    ('batch', 'expected'),
    [
        # What collate functions of the OpenMMLab family make.
        ({'inputs': IMAGES, 'data_samples': [SAMPLE] * 5}, 5),
        ({'inputs': IMAGES}, 5),
        ({'inputs': [IMAGE] * 5, 'data_samples': [SAMPLE] * 5}, 5),
        ({'inputs': [IMAGE] * 5}, 5),
        ({'inputs': [zeros(3, 4, 4), zeros(3, 6, 6)]}, 2),
        ({'inputs': VIEWS, 'data_samples': [SAMPLE] * 5}, 5),
        ({'inputs': [[IMAGE] * 5] * 2, 'data_samples': [SAMPLE] * 5}, 5),
        ({'inputs': VIEWS, 'labels': LABELS}, 5),
        ({'inputs': [zeros(8, 3, 4, 4)] * 5, 'data_samples': [SAMPLE] * 5}, 5),
        ({'inputs': {'img': IMAGES, 'points': [zeros(7, 4)] * 5}}, 5),
        ({'inputs': {'points': [zeros(7, 4), zeros(2, 4)]}}, 2),
        ({'inputs': np.zeros((5, 2))}, 5),
        ({'inputs': zeros(5, 2, 3, 8, 4, 4)}, 5),  # clips of videos
        ({'inputs': [], 'data_samples': []}, 0),
        ({'inputs': IMAGES, 'labels': zeros(10)}, 5),
        # Lists of dicts: samples, or the batches of several loaders.
        ([{'inputs': IMAGE, 'data_samples': SAMPLE}] * 5, 5),
        ([{'inputs': IMAGES, 'data_samples': SAMPLE}] * 2, 2),  # videos
        ([{'inputs': IMAGE}] * 5, 5),
        ([{'inputs': IMAGE, 'label': 1}] * 5, 5),
        ([{'inputs': 0}] * 5, 5),
        ([{'inputs': zeros(n, 3, 4, 4), 'labels': zeros(n)} for n in (8, 24)], 32),
        ([{'inputs': [IMAGE] * n, 'data_samples': [SAMPLE] * n} for n in (8, 8)], 16),
        # Tuples of fields, as torch's collate function makes them.
        ((IMAGES, LABELS), 5),
        ([IMAGES, LABELS], 5),
        ([IMAGES], 5),
        ([VIEWS, LABELS], 5),
        ((IMAGES, LABELS, LABELS, 0.3), 5),
        (((IMAGE,) * 5, ({'boxes': zeros(2, 4)},) * 5), 5),
        ([], 0),
        # Others.
        (IMAGES, 5),
        (UserDict(input_ids=zeros(5, 9), attention_mask=zeros(5, 9)), 5),
        ({'image': IMAGES, 'label': LABELS, 'path': ['a.png'] * 5}, 5),
        (Fields(IMAGES, LABELS), 5),
        (Slots(IMAGES, LABELS), 5),
        (SimpleNamespace(num_graphs=5), 5),
        ({'inputs': SimpleNamespace(num_graphs=5)}, 5),
        (pack_sequence([zeros(4, 2), zeros(3, 2)]), 2),
        ((pack_sequence([zeros(4, 2), zeros(3, 2)]), zeros(2)), 2),
    ],
)
def test_count(batch, expected):
    assert count_samples(batch) == expected


@pytest.mark.parametrize(
    'batch',
    [
        {'inputs': VIEWS},  # two samples, or two views of five
        {'inputs': (IMAGES, IMAGES)},
        {'inputs': [zeros(7), zeros(7)]},
        {'inputs': IMAGES, 'data_samples': [SAMPLE] * 10},
        {'inputs': zeros(())},
        {'inputs': 'text'},
        {'inputs': 'text', 'labels': LABELS},
        {'pictures': IMAGES},
        {'x': zeros(9, 4), 'edge_index': zeros(2, 20)},  # a graph
        {'sup': {'inputs': IMAGES}, 'unsup': {'inputs': IMAGES}},
        {'images': {'left': IMAGES}, 'labels': LABELS},
        [IMAGE] * 5,  # images, or fields of three samples
        [{'image': IMAGE, 'boxes': zeros(3, 4)}] * 5,
        [{'inputs': zeros(3, 9, 9), 'labels': zeros(3)}] * 2,
        [{'inputs': zeros(8, 3, 4, 4)}] * 2,  # batches, or videos
        [{'inputs': IMAGES, 'data_samples': [SAMPLE] * 5}, {'inputs': 'text'}],
        [[{'inputs': IMAGE}] * 5] * 2,
        (IMAGES, zeros(4)),
        Broken(),
        [Broken()],
        None,
        'text',
        3,
    ],
)
def test_several_readings_or_none(batch):
    assert count_samples(batch) is None


@pytest.mark.filterwarnings('ignore:The PyTorch API of nested tensors')
@pytest.mark.parametrize('layout', [torch.strided, torch.jagged])
def test_nested_tensors(layout):
    ragged = torch.nested.nested_tensor([zeros(1, 2), zeros(3, 2)], layout=layout)
    assert count_samples(ragged) == 2
    assert count_samples([ragged, zeros(2)]) == 2


def test_collate_functions():
    views = [{'inputs': [IMAGE, IMAGE], 'data_samples': BaseDataElement()}] * 5
    assert count_samples(pseudo_collate(views)) == 5
    assert count_samples(default_collate(views)) == 5
    # A transform with branches leaves a sample's other branches empty.
    supervised = {'supervised': IMAGE, 'teacher': None}
    rest = {'supervised': None, 'teacher': IMAGE}
    samples = [{'inputs': part, 'data_samples': part} for part in (supervised, rest)]
    assert count_samples(pseudo_collate(samples)) == 2
