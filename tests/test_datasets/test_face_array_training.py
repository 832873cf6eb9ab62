# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""An array of faces in a real Runner, against the pipelines of single samples."""

import pytest
import torch
from demo_runs import demo_config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from two_ranks import on_two_ranks

pytestmark = pytest.mark.slow

CENTRE = {'type': 'hpml_mm.BatchCenterCrop', 'size': 44}
AUGMENT = [
    {'type': 'hpml_mm.BatchRandomCrop', 'size': 44},
    {'type': 'hpml_mm.BatchRandomFlip', 'prob': 0.5},
]
PIPELINE = [
    {'type': 'hpml_mm.LoadFace'},
    {'type': 'CenterCrop', 'crop_size': 44},
    {'type': 'PackInputs', 'meta_keys': ('sample_idx', 'img_path', 'split')},
]
SEED = {'type': 'hpml_mm.SampleSeedHook'}
STOP = {'type': 'hpml_mm.GracefulStopHook'}


class Album(Hook):
    """Keeps losses, and each picture under its epoch and index."""

    def __init__(self):
        self.losses, self.epochs = [], {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())
        pictures = self.epochs.setdefault(runner.epoch, {})
        for sample, picture in zip(
            data_batch['data_samples'], data_batch['inputs'], strict=True
        ):
            pictures[sample.sample_idx] = picture.flatten().tolist()


def faces(split, per_class=8, **arguments):
    kind = 'hpml_mm.DemoFaceDataset'
    return {'type': kind, 'split': split, 'num_per_class': per_class, **arguments}


def loader(dataset, shuffle=True, batch_size=14, **changes):
    is_array = dataset['type'] == 'hpml_mm.FaceArrayDataset'
    collate = 'hpml_mm.keep_batch' if is_array else 'default_collate'
    return {
        'dataset': dataset,
        'sampler': {'type': 'DefaultSampler', 'shuffle': shuffle},
        'batch_size': batch_size,
        'num_workers': 0,
        'collate_fn': {'type': collate},
        **changes,
    }


def array(split, augment=(CENTRE,), **source):
    kind = 'hpml_mm.FaceArrayDataset'
    return {'type': kind, 'source': faces(split, **source), 'augment': list(augment)}


def plain(split, **source):
    return faces(split, pipeline=PIPELINE, **source)


def face_runner(folder, train, val=None, hooks=(), epochs=1, **changes):
    """The demo's network on the faces, and an album of what it sees."""
    cfg = demo_config(folder, epochs, hooks, **changes)
    cfg.train_dataloader = train
    cfg.val_dataloader = val
    if val is None:
        cfg.val_cfg = cfg.val_evaluator = None
    runner, album = Runner.from_cfg(cfg), Album()
    runner.register_hook(album)
    return runner, album


def test_losses_are_those_of_the_plain_path(tmp_path):
    hooks = [{'type': 'hpml_mm.ConfusionMatrixHook'}]
    seen = {}
    for name, build in (('plain', plain), ('array', array)):
        val = loader(build(['val', 'test'], test_mode=True), shuffle=False)
        train = loader(build('train', per_class=8))
        runner, album = face_runner(tmp_path / name, train, val, hooks, epochs=2)
        runner.train()
        logged = runner.message_hub.log_scalars
        names = [k for k in logged if k.startswith('val/') and 'time' not in k]
        seen[name] = album, {key: logged[key].current() for key in names}
        assert (tmp_path / name / 'confusion' / 'Test.png').is_file()
    plainly, ours = seen['plain'], seen['array']
    assert len(ours[0].losses) == 8
    # The pictures are the same to the bit, and so is each step.
    assert ours[0].epochs == plainly[0].epochs
    assert ours[0].losses == pytest.approx(plainly[0].losses, rel=1e-6)
    assert len(ours[1]) >= 18  # accuracy, F1 and seven recalls of two splits
    assert ours[1] == pytest.approx(plainly[1])


def test_augmentation_is_seeded_by_sample(tmp_path):
    def pictures(name, batch_size=14, shuffle=True, workers=0, hooks=(SEED,)):
        train = loader(array('train', AUGMENT), shuffle, batch_size)
        train |= {'num_workers': workers, 'persistent_workers': workers > 0}
        runner, album = face_runner(tmp_path / name, train, hooks=hooks, epochs=2)
        runner.train()
        return album.epochs

    first = pictures('first')
    assert [len(pages) for pages in first.values()] == [56, 56]
    assert pictures('batches', batch_size=8, shuffle=False) == first
    # Workers that live on are told the epoch as well.
    assert pictures('workers', workers=2) == first
    assert pictures('seed', hooks=[{**SEED, 'seed': 5}]) != first
    assert pictures('without', batch_size=8, hooks=()) != first
    # Another epoch is another crop of the same face.
    assert sum(first[0][index] != first[1][index] for index in range(56)) > 45


def test_the_seed_is_taken_back_after_training(tmp_path):
    runner, _ = face_runner(tmp_path, loader(array('train', AUGMENT)), hooks=[SEED])
    runner.train()
    dataset = runner.train_dataloader.dataset
    one, other = (dataset.__getitems__(range(56))['inputs'] for _ in range(2))
    assert not torch.equal(one, other)


def test_a_stopped_run_goes_on_exactly(tmp_path):
    def run(folder, epochs, **changes):
        train = loader(array('train', AUGMENT))
        hooks = [SEED, STOP]
        runner, album = face_runner(folder, train, None, hooks, epochs, **changes)
        runner.train()
        return runner.model.state_dict(), album.epochs

    whole, seen = run(tmp_path / 'whole', 2)
    run(tmp_path / 'part', 1)
    rest, again = run(tmp_path / 'part', 2, resume=True)
    assert again == {1: seen[1]}
    assert all(torch.equal(rest[name], whole[name]) for name in whole)


def test_balance_weights_and_short_epochs(tmp_path):
    train = loader(array('train', AUGMENT, per_class=6)) | {
        'batch_sampler': {'type': 'hpml_mm.LimitedBatchSampler', 'num_batches': 2},
        'sampler': {'type': 'hpml_mm.ClassBalancedSampler'},
    }
    runner, album = face_runner(tmp_path / 'balanced', train)
    runner.train()
    assert len(album.losses) == 2
    weights = [{'type': 'hpml_mm.ClassWeightHook'}]
    train = loader(array('train', AUGMENT))
    runner, album = face_runner(tmp_path / 'weighted', train, hooks=weights)
    runner.train()
    assert runner.model.head.loss_module.class_weight == pytest.approx([1.0] * 7)


def _pictures_on_a_rank(rank, folder):
    assert get_rank() == rank
    train = loader(array('train', AUGMENT), batch_size=7)
    runner, album = face_runner(folder / str(rank), train, hooks=[SEED], epochs=2)
    runner.train()
    torch.save(album.epochs, folder / f'rank{rank}.pt')


def test_two_processes_see_the_pictures_of_one(tmp_path):
    on_two_ranks(_pictures_on_a_rank, tmp_path)
    pages = [torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1)]
    train = loader(array('train', AUGMENT))
    runner, album = face_runner(tmp_path / 'alone', train, hooks=[SEED], epochs=2)
    runner.train()
    for epoch, pictures in album.epochs.items():
        assert not set(pages[0][epoch]) & set(pages[1][epoch])
        assert pages[0][epoch] | pages[1][epoch] == pictures
