# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy
import pickle
from functools import cache

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.runner import Runner
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader, Subset

from hpml_mm.datasets import (
    ClassBalancedSampler,
    DemoFaceDataset,
    FaceArrayDataset,
    keep_batch,
)
from hpml_mm.datasets.fer.array import dataset as module
from hpml_mm.datasets.fer.class_balance import training_labels
from hpml_mm.registry import DATASETS

FACES = {'type': 'hpml_mm.DemoFaceDataset', 'num_per_class': 4}
CROP = {'type': 'hpml_mm.BatchRandomCrop', 'size': 44}
FLIP = {'type': 'hpml_mm.BatchRandomFlip', 'prob': 0.5}
CENTRE = {'type': 'hpml_mm.BatchCenterCrop', 'size': 44}
RESIZE = {'type': 'hpml_mm.BatchResize', 'size': 224}
PACK = {'type': 'PackInputs', 'meta_keys': ('sample_idx', 'img_path', 'split')}


def array(augment=(CROP, FLIP), source=None, **arguments):
    return FaceArrayDataset(source or drawn(), augment, **arguments)


@cache
def drawn():
    """Faces as ``FACES`` says, drawn once."""
    return DATASETS.build(FACES)


def seeded(epoch=0, seed=0, **arguments):
    dataset = array(**arguments)
    dataset.seed_samples(seed, lambda: epoch)
    return dataset


def pictures(dataset, indices):
    return dataset.__getitems__(indices)['inputs']


def plain_batch(pipeline, source=FACES, count=28):
    """The batch that a pipeline of single samples gives."""
    pipeline = [{**step, '_scope_': 'mmpretrain'} for step in pipeline]
    dataset = DATASETS.build({**source, 'pipeline': pipeline, 'test_mode': True})
    return default_collate([dataset[index] for index in range(count)])


def test_a_batch_is_that_of_the_plain_path():
    plain = plain_batch(
        [{'type': 'hpml_mm.LoadFace'}, {'type': 'CenterCrop', 'crop_size': 44}, PACK]
    )
    ours = array([CENTRE]).__getitems__(list(range(28)))
    assert ours['inputs'].dtype == torch.uint8
    assert torch.equal(ours['inputs'], plain['inputs'])
    for one, other in zip(ours['data_samples'], plain['data_samples'], strict=True):
        assert one.to_dict() == other.to_dict()
        assert set(one.metainfo_keys()) == set(other.metainfo_keys())
        assert set(one.keys()) == set(other.keys())
        assert one.gt_label.dtype == other.gt_label.dtype


def test_at_224_px_too_after_the_preprocessor():
    load = {'type': 'hpml_mm.LoadFace', 'color_type': 'color'}
    resize = {'type': 'torchvision/Resize', 'size': (224, 224)}
    plain = plain_batch([load, {'type': 'ToPIL'}, resize, PACK])
    preprocessor = ClsDataPreprocessor([127.5] * 3, [127.5] * 3, to_rgb=True)
    expected = preprocessor(plain)['inputs']
    ours = preprocessor(array([RESIZE]).__getitems__(list(range(28))))['inputs']
    assert ours.shape == (28, 3, 224, 224)
    assert torch.equal(ours, expected)


def test_a_single_sample_is_one_of_a_batch():
    dataset = seeded()
    whole = dataset.__getitems__(range(7))
    batch = keep_batch([dataset[index] for index in range(7)])
    assert torch.equal(batch['inputs'], whole['inputs'])
    assert [s.sample_idx for s in batch['data_samples']] == list(range(7))
    assert torch.equal(dataset[-1]['inputs'], dataset[27]['inputs'])
    assert dataset[-1]['data_samples'].sample_idx == 27
    with pytest.raises(IndexError):
        dataset[28]
    # torch's own part of a data set hands whole batches on.
    part = DataLoader(Subset(dataset, [5, 3]), batch_size=2, collate_fn=keep_batch)
    assert torch.equal(next(iter(part))['inputs'], whole['inputs'][[5, 3]])


def test_what_a_model_writes_is_gone_in_the_next_batch():
    dataset = array([CENTRE])
    first = dataset.__getitems__([1, 1, 2])['data_samples']
    first[0].set_pred_score([0.5] * 7).set_pred_label(3).set_gt_label(6)
    first[0].set_field('here', 'split', field_type='metainfo')
    assert 'pred_score' not in first[1]
    again = dataset.__getitems__([1])['data_samples'][0]
    assert set(again.all_keys()) == {'sample_idx', 'img_path', 'split', 'gt_label'}
    assert again.gt_label.tolist() == [1]
    assert again.split == 'train'
    assert isinstance(again.new().cpu(), DataSample)


def test_augmentation_follows_from_seed_epoch_and_index():
    indices = [4, 9, 4, 0]
    first = pictures(seeded(), indices)
    assert torch.equal(first, pictures(seeded(), indices))
    # An index has one picture, whatever else is in the batch.
    assert torch.equal(first[0], first[2])
    assert torch.equal(first[[3, 0]], pictures(seeded(), [0, 4]))
    assert torch.equal(first, pictures(seeded(), range(28))[indices])
    others = {'epoch': 1}, {'seed': 1}, {'seed': 1, 'epoch': 1}
    different = [first, *(pictures(seeded(**other), indices) for other in others)]
    assert len({tuple(each.flatten().tolist()) for each in different}) == 4


def test_an_epoch_that_goes_on_draws_anew():
    epochs = iter([0, 1, 0])
    dataset = array()
    dataset.seed_samples(3, lambda: next(epochs))
    first, second, again = (pictures(dataset, [4, 9]) for _ in range(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_without_a_seed_torch_draws():
    dataset = seeded()
    indices = list(range(28))
    state = torch.get_rng_state()
    fixed = pictures(dataset, indices)
    assert torch.equal(torch.get_rng_state(), state)  # not where it is seeded
    dataset.seed_samples(None)
    torch.manual_seed(0)
    first, second = pictures(dataset, indices), pictures(dataset, indices)
    assert not torch.equal(first, second)
    assert not torch.equal(first, fixed)
    torch.manual_seed(0)
    assert torch.equal(pictures(dataset, indices), first)


@pytest.mark.parametrize('workers', [0, 2])
def test_through_a_loader_of_mmengine(workers, monkeypatch):
    monkeypatch.setattr(FaceArrayDataset, '__getitem__', None)  # batches only
    kind = 'hpml_mm.FaceArrayDataset'
    config = {
        'dataset': {'type': kind, 'source': FACES, 'augment': [CENTRE]},
        'batch_sampler': {'type': 'hpml_mm.LimitedBatchSampler', 'num_batches': 2},
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'batch_size': 8,
        'num_workers': workers,
        'collate_fn': {'type': 'hpml_mm.keep_batch'},
    }
    batches = list(Runner.build_dataloader(config, seed=0))
    assert [len(batch['data_samples']) for batch in batches] == [8, 8]
    expected = pictures(array([CENTRE]), list(range(16)))
    assert torch.equal(torch.cat([batch['inputs'] for batch in batches]), expected)


def test_it_names_what_its_source_names():
    source = DemoFaceDataset(['train', 'val'], num_per_class=2, test_mode=True)
    dataset = array([CENTRE], source)
    assert len(dataset) == 28
    assert dataset.metainfo == source.metainfo
    assert (dataset.splits, dataset.test_mode) == (('train', 'val'), True)
    assert dataset.get_gt_labels().tolist() == source.get_gt_labels().tolist()
    assert dataset.get_cat_ids(3) == [3]
    expected = source.get_data_info(20)
    del expected['img']
    assert dataset.get_data_info(20) == expected
    assert dataset[20]['data_samples'].split == 'val'
    text = repr(dataset)
    assert '28 faces from drawn faces (seed 0)' in text
    assert 'BatchCenterCrop(size=(44, 44))' in text


def test_classes_can_be_balanced():
    dataset = array()
    assert training_labels(dataset).tolist() == list(range(7)) * 4
    assert len(list(ClassBalancedSampler(dataset, seed=0))) == 28
    with pytest.raises(ValueError, match='class balance is for the training split'):
        training_labels(array(source={**FACES, 'split': 'val'}))


def test_it_can_be_copied():
    dataset = array([CENTRE])
    expected = pictures(dataset, [1, 2])
    for clone in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert torch.equal(pictures(clone, [1, 2]), expected)


def test_files_are_cached_where_it_is_told(tmp_path, make_split):
    make_split(tmp_path / 'data' / 'train')
    source = {'type': 'hpml_mm.FERFolderDataset', 'data_root': str(tmp_path / 'data')}
    for _ in range(2):
        dataset = array([], source, cache_dir=tmp_path / 'cache')
        assert pictures(dataset, [3])[0, 0, 0, 0] == 11
    assert len(list((tmp_path / 'cache').iterdir())) == 1
    # One that is built already has told nobody how.
    built = DATASETS.build(source)
    array([], built, cache_dir=tmp_path / 'other')
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ({**FACES, 'pipeline': [{'type': 'hpml_mm.LoadFace'}]}, 'source has a pipe'),
        ({**FACES, 'split': 'vla'}, "unknown split 'vla'"),
        ({'type': 'mmpretrain.CustomDataset', 'data_root': 'x'}, 'CustomDataset, not'),
        ({**FACES, 'indices': [], 'serialize_data': False}, 'has no face'),
    ],
)
def test_impossible_sources(source, message):
    with pytest.raises(ValueError, match=message):
        array([], source)


def test_a_gpu_is_used_where_the_faces_fit(monkeypatch, messages):
    monkeypatch.setattr(module, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda: (1000, 5000))
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 3)
    assert module.choose_device('auto', 500, 0.5) == torch.device('cuda', 3)
    assert not messages
    assert module.choose_device('auto', 501, 0.5) == torch.device('cpu')
    assert len(messages) == 1
    assert 'more than 50% of' in messages[0]
    assert module.choose_device('cpu', 1, 0.5) == torch.device('cpu')
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    assert module.choose_device('auto', 1, 0.5) == torch.device('cpu')


def test_workers_cannot_reach_faces_on_a_gpu(monkeypatch):
    dataset = array()
    gpu = torch.device('cuda', 0)
    monkeypatch.setattr(module, 'choose_device', lambda *args: gpu)
    monkeypatch.setattr(module, 'get_worker_info', lambda: 'a worker')
    with pytest.raises(ValueError, match=r"num_workers=0, or device='cpu'"):
        dataset.__getitems__([0])


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no GPU, or hidden: use pytest -m gpu'
)
def test_a_gpu_gives_the_same_pictures_without_being_waited_for():
    jitter = {'type': 'hpml_mm.BatchColorJitter', 'brightness': 0.5, 'contrast': 0.5}
    augment = [
        CROP,
        FLIP,
        {'type': 'hpml_mm.BatchRandomApply', 'transforms': [jitter]},
        {'type': 'hpml_mm.BatchRandomErasing'},
        {'type': 'hpml_mm.BatchRotate', 'degrees': 10},
        RESIZE,
        {'type': 'hpml_mm.BatchGaussianBlur', 'kernel_size': (5, 9)},
        {'type': 'hpml_mm.BatchRandomAdjustSharpness', 'sharpness_factor': 2},
    ]
    indices = list(range(28))
    expected = pictures(seeded(augment=augment, device='cpu'), indices)
    dataset = seeded(augment=augment, device='cuda')
    pictures(dataset, indices)  # what is made once may wait
    torch.cuda.set_sync_debug_mode('error')
    try:
        batch = dataset.__getitems__(indices)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert batch['inputs'].is_cuda
    assert batch['data_samples'][0].gt_label.is_cuda
    difference = (batch['inputs'].cpu().int() - expected.int()).abs()
    # Sums in another order round differently here and there.
    assert difference.max() <= 4
    assert (difference > 0).float().mean() < 0.01


@pytest.mark.slow
@pytest.mark.real_data
def test_all_faces_of_fer2013(real_data, tmp_path):
    source = {
        'type': 'hpml_mm.FERFolderDataset',
        'data_root': str(real_data / 'fer2013'),
        'split': 'val',
        'test_mode': True,
    }
    plain = plain_batch([{'type': 'hpml_mm.LoadFace'}, PACK], source, 3589)
    for _ in range(2):  # read from the files, then from the cache
        dataset = array([], source, cache_dir=tmp_path)
        batch = dataset.__getitems__(range(3589))
        assert torch.equal(batch['inputs'], plain['inputs'])
        found, expected = batch['data_samples'], plain['data_samples']
        assert [one.to_dict() for one in found] == [one.to_dict() for one in expected]
    counts = np.bincount(dataset.get_gt_labels()).tolist()
    assert counts == [467, 56, 496, 895, 653, 415, 607]
