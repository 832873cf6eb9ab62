# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import hpml_mm  # noqa: F401  # isort: skip
import pytest
import torch
from leaves import ANIMAL_LEAVES, load
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData


@pytest.fixture(scope='module')
def network():
    init_default_scope('mmdet')
    (leaf,) = (leaf for leaf in ANIMAL_LEAVES if 'semantic' in leaf)
    settings = load(leaf).model.to_dict()
    settings['backbone'].update(init_cfg=None, widen_factor=0.25)
    # Widths of a quarter of the channels, and of all 1,280 at the end.
    settings['neck']['in_channels'] = [8, 8, 24, 1280]
    torch.manual_seed(0)
    return MODELS.build(settings).eval()


def samples(target):
    """One of 100 x 80 pixels (width x height), which were resized to 64 x 51."""
    made = DetDataSample(
        metainfo={
            'ori_shape': (80, 100),
            'img_shape': (51, 64),
            'batch_input_shape': (64, 64),
        }
    )
    made.gt_sem_seg = PixelData(sem_seg=target)
    return [made]


def test_scores_are_of_six_classes_at_a_quarter_of_the_size(network):
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 6, 16, 16)


def test_maps_have_the_size_of_the_original_image(network):
    target = torch.zeros(1, 80, 100, dtype=torch.long)
    (found,) = network(torch.randn(1, 3, 64, 64), samples(target), mode='predict')
    labels = found.pred_sem_seg.sem_seg
    assert labels.shape == (1, 80, 100)
    assert labels.max() < 6


def test_every_class_is_an_output_and_void_is_none(network):
    image = torch.randn(1, 3, 64, 64)
    target = torch.full((1, 64, 64), 255)
    target[:, :8, :8] = torch.arange(6).repeat(11)[:64].view(8, 8)
    found = network(image, samples(target), mode='loss')
    scores = network(image)
    # Every fourth pixel is one of the scores': four of them are not void.
    kept = target[0, ::4, ::4]
    assert (kept != 255).sum() == 4
    expected = torch.nn.functional.cross_entropy(
        scores, kept[None], ignore_index=255, reduction='mean'
    )
    torch.testing.assert_close(found['loss_seg'], expected)


def test_an_unknown_mode(network):
    with pytest.raises(ValueError, match="'logits', not 'loss'"):
        network(torch.zeros(1, 3, 64, 64), mode='logits')
