# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from demo_runs import demo_config
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner
from sklearn.utils.class_weight import compute_class_weight

from hpml_mm.datasets import ClassBalancedSampler, DemoFaceDataset
from hpml_mm.datasets.fer.class_balance import class_weights, training_labels
from hpml_mm.engine.hooks.class_weight_hook import ClassWeightHook
from hpml_mm.registry import DATASETS

COUNTS = (8, 1, 1, 1, 1, 1, 1)
LABELS = np.repeat(np.arange(7), COUNTS)


@DATASETS.register_module()
class Unequal(DemoFaceDataset):
    """Drawn faces, of which only 8 of class 0 and one of each other remain."""

    def load_data_list(self):
        chosen, left = [], list(COUNTS)
        for item in super().load_data_list():
            if left[item['gt_label']]:
                left[item['gt_label']] -= 1
                chosen.append(item)
        return chosen


def unequal(split='train', **kwargs):
    return Unequal(split, num_per_class=8, **kwargs)


def test_weights_by_hand_and_by_scikit_learn():
    weights = class_weights(LABELS, 7)
    np.testing.assert_allclose(weights, [14 / 7 / 8] + [14 / 7 / 1] * 6)
    expected = compute_class_weight('balanced', classes=np.arange(7), y=LABELS)
    np.testing.assert_allclose(weights, expected)


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
def test_weights_leave_the_size_of_the_loss_alone(power):
    weights = class_weights(LABELS, 7, power)
    assert weights[LABELS].mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(8**power)


@pytest.mark.parametrize(
    ('labels', 'power', 'message'),
    [
        ([0, 0, 2], 1.0, r'no training sample has the label \[1\]'),
        ([0, 1, 3], 1.0, 'label 3 is not below 3 classes'),
        ([0, 1, 2], 2.0, 'power must be from 0 to 1, not 2.0'),
    ],
)
def test_impossible_weights(labels, power, message):
    with pytest.raises(ValueError, match=message):
        class_weights(labels, 3, power)


@pytest.mark.parametrize('split', ['val', 'test', ['train', 'val']])
def test_only_the_training_split_is_balanced(split):
    with pytest.raises(ValueError, match='for the training split only'):
        ClassBalancedSampler(unequal(split), seed=0)


def test_labels_of_other_data_sets():
    parts = ConcatDataset([unequal(), unequal()])
    np.testing.assert_array_equal(
        training_labels(parts), np.tile(unequal().get_gt_labels(), 2)
    )
    with pytest.raises(ValueError, match='test_mode=True'):
        training_labels(unequal(test_mode=True))
    with pytest.raises(TypeError, match=r'list has no get_gt_labels'):
        training_labels([1, 2])


def test_the_sampler_evens_the_classes_out():
    faces = unequal()
    labels = faces.get_gt_labels()
    sampler = ClassBalancedSampler(faces, seed=0)
    assert len(sampler) == len(list(sampler)) == 14
    drawn = []
    for epoch in range(500):
        sampler.set_epoch(epoch)
        drawn += labels[list(sampler)].tolist()
    # 7,000 draws, 1,000 expected of each class with a standard deviation of 29.
    assert np.abs(np.bincount(drawn) - 1000).max() < 4 * 29


def test_the_sampler_repeats_itself_only_within_an_epoch():
    sampler = ClassBalancedSampler(unequal(), seed=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def _draw(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    sampler = ClassBalancedSampler(unequal(indices=list(range(13))), seed=5)
    torch.save((len(sampler), list(sampler)), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_share_one_draw(tmp_path):
    mp.start_processes(_draw, (str(tmp_path),), nprocs=2, start_method='fork')
    parts = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    # 13 samples round up to 7 for each process.
    assert [length for length, _ in parts] == [7, 7]
    sampler = ClassBalancedSampler(unequal(indices=list(range(13))), seed=5)
    sampler.num_samples = 14
    together = list(sampler)
    assert parts[0][1] == together[0::2]
    assert parts[1][1] == together[1::2]


def toy_runner(tmp_path, split='train', loss=None, sampler='DefaultSampler'):
    cfg = demo_config(tmp_path, 2, [{'type': 'hpml_mm.ClassWeightHook'}])
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    loader = cfg.train_dataloader
    loader.dataset.update(type='hpml_mm.Unequal', split=split, num_per_class=8)
    loader.batch_size, loader.sampler = 7, {'type': sampler}
    cfg.model.head.loss = loss or cfg.model.head.get('loss')
    return Runner.from_cfg(cfg)


def test_the_hook_weights_the_loss(tmp_path):
    runner = toy_runner(tmp_path)
    runner.train()
    weights = runner.model.head.loss_module.class_weight
    assert weights == pytest.approx([0.25] + [2.0] * 6)
    loss = runner.model.head.loss_module(torch.zeros(2, 7), torch.tensor([0, 1]))
    assert float(loss) == pytest.approx(np.log(7) * (0.25 + 2) / 2)


def test_the_sampler_works_in_a_runner_and_excludes_the_hook(tmp_path):
    runner = toy_runner(tmp_path, sampler='hpml_mm.ClassBalancedSampler')
    with pytest.raises(ValueError, match='twice: choose one'):
        runner.train()
    runner._hooks = [h for h in runner._hooks if not isinstance(h, ClassWeightHook)]
    runner.train()
    # DistSamplerSeedHook has told it the last epoch.
    assert runner.train_dataloader.sampler.epoch == 1


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (
            {'type': 'CrossEntropyLoss', 'class_weight': [1.0] * 7},
            'class_weight=.* already',
        ),
        ({'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1}, 'needs model.head.loss'),
    ],
)
def test_the_hook_refuses_a_loss_it_cannot_weight(tmp_path, loss, message):
    runner = toy_runner(tmp_path, loss=loss)
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_the_hook_refuses_another_split(tmp_path):
    with pytest.raises(ValueError, match='training split only'):
        toy_runner(tmp_path, 'val').train()
