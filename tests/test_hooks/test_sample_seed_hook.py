# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from torch.utils.data import IterableDataset
from toy_runs import NUM_IMAGES, FailAt, NoisyImages, loader, toy_runner
from two_ranks import on_two_ranks

from hpml_mm.engine.hooks import SampleSeedHook

SEED = {'type': 'hpml_mm.SampleSeedHook'}
# Two workers that are started anew in each epoch, or live on.
WORKERS = {'num_workers': 2}
PERSISTENT = {'num_workers': 2, 'persistent_workers': True}


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


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """Two shuffled epochs without workers."""
    folder = tmp_path_factory.mktemp('alone')
    runner, album = noisy_runner(folder)
    runner.train()
    return runner, album.pages(), str(folder / 'epoch_1.pth')


@pytest.mark.parametrize('workers', [WORKERS, PERSISTENT], ids=['anew', 'persistent'])
def test_the_number_of_workers_changes_no_picture(tmp_path, alone, workers):
    assert pictures(tmp_path / 'workers', **workers) == alone[1]
    assert len(alone[1][0]) == NUM_IMAGES


def test_nor_does_their_order(tmp_path, alone):
    assert pictures(tmp_path, shuffle=False) == alone[1]


def test_epochs_and_seeds_differ(tmp_path, alone):
    """A seed of its own comes before the runner's."""
    other = pictures(tmp_path / '5', seed=5)
    pages = [*alone[1].values(), *other.values()]
    assert all(a != b for i, a in enumerate(pages) for b in pages[:i])
    assert pictures(tmp_path / '0', [{**SEED, 'seed': 5}]) == other


@pytest.mark.parametrize('workers', [{}, PERSISTENT], ids=['alone', 'persistent'])
@pytest.mark.parametrize('hooks', [[SEED], []], ids=['with', 'without'])
def test_a_run_resumed_at_an_epochs_end_goes_on_exactly(
    tmp_path, alone, hooks, workers
):
    whole, seen, path = alone
    rest, again = noisy_runner(tmp_path, hooks, resume=True, load_from=path, **workers)
    rest.train()
    assert rest.iter == whole.iter == 8
    exact = bool(hooks)
    assert same(weights(rest), weights(whole)) is exact
    assert (again.pages()[1] == seen[1]) is exact


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
    hooks = [SEED, FailAt(6)] if fails else [SEED]
    runner, _ = noisy_runner(tmp_path, hooks, **PERSISTENT)
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
def test_two_processes_see_the_pictures_of_one(tmp_path, alone):
    on_two_ranks(_pictures_on_a_rank, tmp_path)
    pages = [torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1)]
    together = {epoch: sorted(pages[0][epoch] + pages[1][epoch]) for epoch in (0, 1)}
    assert together == alone[1]
