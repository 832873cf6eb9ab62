# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from hpml_mm.models import FacePreprocessor
from hpml_mm.registry import MODELS

IMAGENET = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]}
HALVES = {'mean': [127.5] * 3, 'std': [127.5] * 3}
GREY = {'mean': [129.3], 'std': [65.0]}


def batch(channels=1, count=5):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (count, channels, 224, 200), generator=generator)
    samples = [DataSample().set_gt_label(index) for index in range(count)]
    return {'inputs': inputs.byte(), 'data_samples': samples}


@pytest.mark.parametrize(
    'numbers', [IMAGENET, HALVES, GREY], ids=['each', 'all', 'one']
)
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_the_numbers_are_mmpretrains(numbers, dtype):
    data = batch()
    data['inputs'] = data['inputs'].to(dtype)
    ours = FacePreprocessor(**numbers, to_rgb=True)(dict(data), training=True)
    theirs = ClsDataPreprocessor(**numbers, to_rgb=True)(dict(data), training=True)
    assert torch.equal(ours['inputs'], theirs['inputs'])
    assert ours['inputs'].shape[1] == len(numbers['mean'])
    # No view of one channel, which a model would have to write out.
    assert ours['inputs'].is_contiguous()
    assert [s.gt_label.item() for s in ours['data_samples']] == list(range(5))


def test_colour_and_scores_go_mmpretrains_way():
    data = batch(channels=3)
    ours = FacePreprocessor(**IMAGENET, to_rgb=True)(data)
    theirs = ClsDataPreprocessor(**IMAGENET, to_rgb=True)(data)
    assert torch.equal(ours['inputs'], theirs['inputs'])
    scores = FacePreprocessor(**GREY, to_onehot=True, num_classes=5)(batch())
    assert scores['data_samples'][3].gt_score.tolist() == [0, 0, 0, 1, 0]
    bare = {'inputs': batch()['inputs']}
    assert FacePreprocessor(**GREY)(bare)['data_samples'] is None
    padded = FacePreprocessor(**GREY, pad_size_divisor=32)(batch())
    assert padded['inputs'].shape[2:] == (224, 224)


def test_without_numbers_levels_stay():
    data = batch()
    out = FacePreprocessor()(data)
    assert torch.equal(out['inputs'], data['inputs'].float())


def test_it_is_registered():
    built = MODELS.build({'type': 'hpml_mm.FacePreprocessor', **GREY})
    assert type(built) is FacePreprocessor
