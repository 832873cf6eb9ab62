# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import random
import signal

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from torch.utils.data import IterableDataset
from toy_runs import NUM_IMAGES, ToyImages, loader, on_two_ranks, toy_runner

from hpml_mm.engine.hooks import SampleSeedHook
from hpml_mm.engine.hooks.graceful_stop_hook import StoppedBySignalError

SEED = {'type': 'hpml_mm.SampleSeedHook'}
STOP = {'type': 'hpml_mm.GracefulStopHook'}
# Two workers that are started anew in each epoch, or live on.
WORKERS = {'num_workers': 2}
PERSISTENT = {'num_workers': 2, 'persistent_workers': True}


class NoisyImages(ToyImages):
    """Toy images with noise of each global generator on them; tells the index."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(1, 8, 8)
        return {**item, 'inputs': item['inputs'] + noise}


class NoisyStream(IterableDataset):
    metainfo = {}

    def __iter__(self):
        return iter([])


class Album(Hook):
    """Keeps the pictures of each epoch, sorted; the order is another matter."""

    def __init__(self):
        self.epochs = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        images = [image.flatten().tolist() for image in data_batch['inputs']]
        self.epochs.setdefault(runner.epoch, []).extend(images)

    def pages(self):
        return {epoch: sorted(images) for epoch, images in self.epochs.items()}


class StopAt(Hook):
    """Sends this process SIGTERM in one iteration, counted from 1."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            signal.raise_signal(signal.SIGTERM)


def noisy_runner(folder, hooks=(SEED,), epochs=2, seed=0, shuffle=True, **changes):
    """A runner over shuffled noisy images, and the album of what it sees."""
    album = Album()
    workers = {k: v for k, v in changes.items() if k in PERSISTENT}
    data = loader(shuffle=shuffle) | {'dataset': NoisyImages()} | workers
    settings = {
        'train_dataloader': data,
        'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
        'randomness': {'seed': seed},
        'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}},
        'visualizer': {'type': 'Visualizer', 'vis_backends': []},
    }
    settings |= {k: v for k, v in changes.items() if k not in workers}
    return toy_runner(folder, [*hooks, album], **settings), album


def pictures(folder, *args, **changes):
    runner, album = noisy_runner(folder, *args, **changes)
    runner.train()
    return album.pages()


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize('workers', [WORKERS, PERSISTENT], ids=['anew', 'persistent'])
def test_the_number_of_workers_changes_no_picture(tmp_path, workers):
    alone = pictures(tmp_path / 'alone')
    assert pictures(tmp_path / 'workers', **workers) == alone
    assert len(alone[0]) == NUM_IMAGES
    assert pictures(tmp_path / 'without', hooks=[], **workers) != alone


def test_nor_does_their_order(tmp_path):
    shuffled = pictures(tmp_path / 'shuffled')
    assert pictures(tmp_path / 'ordered', shuffle=False) == shuffled


def test_epochs_and_seeds_differ(tmp_path):
    seen = pictures(tmp_path / '0')
    other = pictures(tmp_path / '1', seed=1)
    pages = [*seen.values(), *other.values()]
    assert all(a != b for i, a in enumerate(pages) for b in pages[:i])


def test_a_seed_of_its_own_comes_before_the_runners(tmp_path):
    own = [{**SEED, 'seed': 5}]
    seen = pictures(tmp_path / '0', own, seed=0)
    assert pictures(tmp_path / '1', own, seed=1) == seen
    assert pictures(tmp_path / '5', seed=5) == seen


@pytest.mark.parametrize('workers', [{}, PERSISTENT], ids=['alone', 'persistent'])
@pytest.mark.parametrize('hooks', [[SEED], []], ids=['with', 'without'])
def test_a_run_stopped_at_an_epochs_end_goes_on_exactly(tmp_path, hooks, workers):
    whole, seen = noisy_runner(tmp_path / 'whole', hooks, **workers)
    whole.train()
    part, _ = noisy_runner(tmp_path / 'part', hooks, epochs=1, **workers)
    part.train()
    rest, again = noisy_runner(tmp_path / 'part', hooks, resume=True, **workers)
    rest.train()
    assert rest.iter == whole.iter == 8
    exact = bool(hooks)
    assert same(weights(rest), weights(whole)) is exact
    assert (again.pages()[1] == seen.pages()[1]) is exact


def test_a_run_stopped_within_an_epoch_goes_on_exactly(tmp_path):
    hooks = [SEED, STOP]
    whole, _ = noisy_runner(tmp_path / 'whole', hooks, **WORKERS)
    whole.train()
    part, _ = noisy_runner(tmp_path / 'part', [*hooks, StopAt(6)], **WORKERS)
    with pytest.raises(StoppedBySignalError):
        part.train()
    rest, album = noisy_runner(tmp_path / 'part', hooks, resume=True, **WORKERS)
    rest.train()
    assert {epoch: len(seen) for epoch, seen in album.epochs.items()} == {1: 8}
    assert same(weights(rest), weights(whole))


def test_the_model_draws_as_if_the_samples_drew_nothing(tmp_path):
    class Draws(Hook):
        def __init__(self):
            self.seen = []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.seen.append((torch.rand(()).item(), np.random.rand()))

    plain, noisy = Draws(), Draws()
    # The same images without noise, whose loading draws nothing.
    noisy_runner(tmp_path / '0', [plain], train_dataloader=loader())[0].train()
    noisy_runner(tmp_path / '1', [SEED, noisy], shuffle=False)[0].train()
    assert noisy.seen == plain.seen


@pytest.mark.parametrize('fails', [False, True])
def test_the_loader_gets_its_data_set_back(tmp_path, fails):
    runner, _ = noisy_runner(tmp_path, **PERSISTENT)
    runner.model.fail_at = 6 if fails else None
    if fails:
        with pytest.raises(RuntimeError, match='toy failure'):
            runner.train()
    else:
        runner.train()
    assert type(runner.train_dataloader.dataset) is NoisyImages
    # No worker lives on that would go on seeding.
    one, other = (next(iter(runner.train_dataloader)) for _ in range(2))
    assert not torch.equal(one['inputs'], other['inputs'])


def test_iterations_without_epochs_are_refused(tmp_path):
    runner, _ = noisy_runner(tmp_path, train_cfg={'by_epoch': False, 'max_iters': 4})
    with pytest.raises(ValueError, match=r'IterBasedTrainLoop.*by_epoch=True'):
        runner.train()


def test_a_stream_is_refused(tmp_path):
    data = {'dataset': NoisyStream(), 'sampler': None, 'batch_size': 4}
    data |= {'num_workers': 0, 'collate_fn': {'type': 'default_collate'}}
    with pytest.raises((ValueError, TypeError), match='NoisyStream|no len'):
        noisy_runner(tmp_path, train_dataloader=data)[0].train()


@pytest.mark.parametrize('seed', [-1, 1.5, True, '0'])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=f'seed={seed!r}'):
        SampleSeedHook(seed)


def _pictures_on_a_rank(rank, folder):
    assert get_rank() == rank
    randomness = {'seed': 0, 'diff_rank_seed': True}
    runner, album = noisy_runner(
        folder / str(rank), randomness=randomness, shuffle=False
    )
    runner.train()
    torch.save(album.epochs, folder / f'rank{rank}.pt')


@pytest.mark.slow
def test_two_processes_see_the_pictures_of_one(tmp_path):
    on_two_ranks(_pictures_on_a_rank, tmp_path)
    pages = [torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1)]
    alone = pictures(tmp_path / 'alone')
    together = {epoch: sorted(pages[0][epoch] + pages[1][epoch]) for epoch in (0, 1)}
    assert together == alone
