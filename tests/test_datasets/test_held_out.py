# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pickle

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from toy_tasks import KINDS, toy_task, write_data

from hpml_mm.datasets.held_out import HeldOutDataset, held_out_indices
from hpml_mm.experiments.search.hold_out import hold_out
from hpml_mm.registry import DATASETS, METRICS
from hpml_mm.utils.model import innermost_dataset


class Labelled:
    """Ten samples of class 0 and five of class 1."""

    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 15

    def __getitem__(self, index):
        return index

    def get_gt_labels(self):
        return np.array([0] * 10 + [1] * 5)

    def get_data_info(self, idx):
        return {'sample_idx': idx}


@DATASETS.register_module()
class FilteredToTrain(BaseDataset):
    """Twenty images, of which it leaves out the first where it trains."""

    def load_data_list(self):
        return [{'img_path': str(number)} for number in range(20)]

    def filter_data(self):
        return self.data_list[0 if self.test_mode else 1 :]


class Batched(Labelled):
    def __getitems__(self, indices):
        return [-index for index in indices]


def both(dataset, **settings):
    return [HeldOutDataset(dataset, part, **settings) for part in ('rest', 'held-out')]


def test_the_parts_share_no_sample_and_have_a_share_of_each_class():
    rest, held = both(Labelled(), share=0.4, seed=3)
    assert sorted([*rest, *held]) == list(range(15))
    assert np.bincount(held.get_gt_labels()).tolist() == [4, 2]
    assert held.get_data_info(0) == {'sample_idx': held[0]}
    assert held.metainfo == Labelled.metainfo
    again = HeldOutDataset(Labelled(), 'held-out', share=0.4, seed=3)
    other = HeldOutDataset(Labelled(), 'held-out', share=0.4, seed=4)
    assert list(again) == list(held) != list(other)


def test_whole_batches_are_read_where_the_data_set_can():
    held = HeldOutDataset(Batched(), 'held-out', share=0.2)
    assert held.__getitems__([0, 1]) == [-held[0], -held[1]]
    assert not HeldOutDataset(Labelled(), 'held-out', share=0.2).__getitems__


def test_a_hook_reaches_the_data_set_inside():
    inner = Labelled()
    held = HeldOutDataset(HeldOutDataset(inner, 'rest'), 'held-out')
    assert innermost_dataset(held) is inner


def test_it_goes_to_the_workers_of_a_loader():
    held = pickle.loads(pickle.dumps(HeldOutDataset(Labelled(), 'held-out')))
    assert len(held) == 2
    with pytest.raises(AttributeError):
        held.nothing  # noqa: B018


@pytest.mark.parametrize(
    ('labels', 'share', 'count'),
    [([0, 0], 0.01, 1), ([0, 0], 0.99, 1), ([0], 0.1, 0), ([], 0.5, 0)],
)
def test_a_class_of_two_is_in_both_parts(labels, share, count):
    assert len(held_out_indices(labels, share, 0)) == count


def test_the_poses_of_one_image_stay_together():
    images = ['a', 'a', 'b', 'b', 'c', 'c']
    held = held_out_indices([0] * 6, 1 / 3, 1, images)
    assert held.tolist() in ([0, 1], [2, 3], [4, 5])


@pytest.mark.parametrize('settings', [{'share': 0}, {'share': 1}, {'part': 'test'}])
def test_an_impossible_part_is_refused(settings):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        HeldOutDataset(Labelled(), **{'part': 'rest', **settings})


@pytest.mark.parametrize('kind', KINDS)
def test_a_config_selects_on_a_part_of_its_training_set(kind, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    write_data(tmp_path)
    cfg = toy_task(kind, tmp_path, tmp_path)
    init_default_scope(cfg.default_scope)
    seen = len(DATASETS.build(cfg.train_dataloader.dataset))
    hold_out(cfg, 0.25, 0)
    train, val = (
        DATASETS.build(cfg[f'{name}_dataloader']['dataset'])
        for name in ('train', 'val')
    )
    assert len(train) + len(val) == seen
    # The very pictures of the training set, by the pipeline of the validation.
    paths = [
        {part.get_data_info(i)['img_path'] for i in range(len(part))}
        for part in (train, val)
    ]
    assert not paths[0] & paths[1]
    assert repr(val[0]['inputs']) == repr(val[0]['inputs'])


def built_parts(cfg):
    hold_out(cfg, 0.25, 0)
    loaders = cfg.train_dataloader, cfg.val_dataloader
    return [DATASETS.build(loader['dataset']) for loader in loaders]


def test_no_image_is_in_both_parts_of_a_data_set_that_filters_to_train():
    train, val = (
        {'dataset': {'type': 'hpml_mm.FilteredToTrain', 'test_mode': test}}
        for test in (False, True)
    )
    rest, held = built_parts(Config({'train_dataloader': train, 'val_dataloader': val}))
    paths = [
        {part.get_data_info(i)['img_path'] for i in range(len(part))}
        for part in (rest, held)
    ]
    assert paths[0] | paths[1] == {str(number) for number in range(1, 20)}
    assert not paths[0] & paths[1]
    assert (rest.test_mode, held.test_mode) == (False, True)


def test_the_metric_of_poses_does_not_judge_by_the_whole_file(tmp_path):
    write_data(tmp_path)
    cfg = toy_task('poses', tmp_path, tmp_path)
    init_default_scope('mmpose')
    _, held = built_parts(cfg)
    metric = METRICS.build({'type': 'CocoMetric'})
    metric.dataset_meta = held.metainfo
    assert metric.coco is None


@pytest.mark.parametrize('keys', [{}, {'meta_keys': ('img_id', 'ori_shape')}])
def test_the_metric_of_boxes_gets_their_annotations(keys):
    loader = {'dataset': {'type': 'mmdet.CocoDataset', 'pipeline': []}}
    pack = {'type': 'mmdet.PackDetInputs', **keys}
    seen = {'dataset': {**loader['dataset'], 'pipeline': [{'type': 'Resize'}, pack]}}
    cfg = Config({'train_dataloader': loader, 'val_dataloader': seen})
    hold_out(cfg, 0.1, 0)
    found = cfg.val_dataloader.dataset.dataset.pipeline[1].meta_keys
    assert {'img_id', 'ori_shape', 'instances'} <= set(found)


def test_what_cannot_be_split_is_told():
    with pytest.raises(ValueError, match='no validation'):
        hold_out(Config({'train_dataloader': {'dataset': {}}}), 0.1, 0)
    wrapped = {'dataset': {'type': 'RepeatDataset', 'dataset': {}}}
    cfg = Config({'train_dataloader': wrapped, 'val_dataloader': wrapped})
    with pytest.raises(ValueError, match='RepeatDataset'):
        hold_out(cfg, 0.1, 0)
