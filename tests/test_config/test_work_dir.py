# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend

from hpml_mm.config.work_dir import (
    checkpoint_hooks,
    claim_work_dir,
    derive_work_dir,
    find_checkpoint,
    slug,
)

CONFIG = 'configs/fer/toy.py'
LR = {'optim_wrapper.optimizer.lr': 0.01}


def test_the_unchanged_config_gets_its_own_name():
    assert derive_work_dir(CONFIG, {}) == Path('work_dirs/toy')
    assert derive_work_dir(CONFIG, {}, configured='else/where') == Path('else/where')


def test_overrides_are_readable_and_the_same_each_time():
    place = derive_work_dir(CONFIG, LR)
    assert place.parent == Path('work_dirs')
    assert place.name.startswith('toy--lr=0.01-')
    assert derive_work_dir(CONFIG, dict(LR)) == place
    assert derive_work_dir(CONFIG, {'amp': True}).name == 'toy--amp'
    assert derive_work_dir(CONFIG, {'amp': True, 'seed': 3}).name == 'toy--amp-seed=3'
    assert derive_work_dir(CONFIG, {'processes': 2}).name == 'toy--processes=2'


def test_the_order_of_overrides_does_not_matter():
    one = {'a.lr': 1, 'b.momentum': 2}
    assert slug(one) == slug(dict(reversed(one.items())))


@pytest.mark.parametrize(
    'other',
    [
        {'optim_wrapper.optimizer.lr': 0.02},
        {'param_scheduler.lr': 0.01},
        {**LR, 'seed': 1},
        {'optim_wrapper.optimizer.lr': '0.01'},
    ],
)
def test_other_overrides_go_elsewhere(other):
    assert derive_work_dir(CONFIG, other) != derive_work_dir(CONFIG, LR)


def test_any_value_makes_one_plain_folder():
    place = derive_work_dir(CONFIG, {'a.data_root': '/x y/*z', 'b.c': ['d' * 300]})
    assert place.parent == Path('work_dirs')
    assert len(place.name) < 100
    assert not set(' */') & set(place.name)


def test_a_tag_names_the_directory():
    assert derive_work_dir(CONFIG, LR, tag='slow').name == 'toy--slow'
    assert derive_work_dir(CONFIG, {}, tag='again').name == 'toy--again'


@pytest.mark.parametrize('tag', ['', '..', 'a/b', 'a b', '-x'])
def test_a_tag_is_a_plain_name(tag):
    with pytest.raises(ValueError, match='--tag'):
        derive_work_dir(CONFIG, LR, tag=tag)


def test_tag_and_work_dir_exclude_each_other():
    with pytest.raises(ValueError, match='give one'):
        derive_work_dir(CONFIG, LR, tag='a', work_dir='b')


@pytest.mark.parametrize('same', ['work_dirs/toy', './work_dirs/x/../toy/'])
def test_an_override_never_lands_in_the_plain_directory(same):
    with pytest.raises(ValueError, match='overrides optim_wrapper.optimizer.lr'):
        derive_work_dir(CONFIG, LR, work_dir=same)
    assert derive_work_dir(CONFIG, {}, work_dir=same) == Path(same)
    assert derive_work_dir(CONFIG, LR, work_dir='other') == Path('other')


def test_a_configured_directory_is_the_plain_one():
    with pytest.raises(ValueError, match='directory of the unchanged config'):
        derive_work_dir(CONFIG, LR, work_dir='mine', configured='mine')


def test_checkpoints_are_not_overwritten(tmp_path):
    claim_work_dir(tmp_path / 'new')
    (tmp_path / 'epoch_3.pth').touch()
    with pytest.raises(FileExistsError, match=r'epoch_3.pth.*--resume.*--overwrite'):
        claim_work_dir(tmp_path)


def test_overwriting_keeps_the_logs(tmp_path):
    for name in ('epoch_3.pth', 'last_checkpoint', 'summary.json', 'run.log'):
        (tmp_path / name).touch()
    claim_work_dir(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['run.log']


def test_weights_of_the_users_own_are_no_earlier_run(tmp_path):
    own = tmp_path / 'imagenet.pth'
    own.touch()
    claim_work_dir(tmp_path)
    for name in ('iter_9.pth', 'best_accuracy_top1_epoch_3.pth', 'interrupted.pth'):
        (tmp_path / name).touch()
        with pytest.raises(FileExistsError, match=name):
            claim_work_dir(tmp_path)
        claim_work_dir(tmp_path, overwrite=True)
        assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize(
    ('hook', 'name'),
    [
        ({}, 'epoch_4.pth'),
        ({'file_client_args': {'backend': 'disk'}}, 'best_accuracy_top1_epoch_4.pth'),
        ({'backend_args': {'backend': 'local'}}, 'iter_4.pth'),
        ({'filename_tmpl': 'model_{}.pth'}, 'model_4.pth'),
        ({'filename_tmpl': '{:03d}.pth'}, '004.pth'),
        ({'filename_tmpl': 'run/{}.pth'}, 'run/4.pth'),
        ({'filename_tmpl': 'run/{}.pth'}, 'best_coco_AP_run_4.pth'),
        ({'filename_tmpl': 'model_{}.pth'}, 'best_coco_AP_model_4.pth'),
    ],
)
@pytest.mark.parametrize('elsewhere', [True, False])
def test_checkpoints_are_found_wherever_they_lie(tmp_path, hook, name, elsewhere):
    work_dir, out_dir = tmp_path / 'work' / 'toy', tmp_path / 'out'
    if elsewhere:
        hook = {**hook, 'out_dir': str(out_dir)}
    folder = out_dir / 'toy' if elsewhere else work_dir
    file, other = folder / name, folder / 'imagenet.pth'
    file.parent.mkdir(parents=True)
    file.touch()
    other.touch()
    with pytest.raises(FileExistsError, match=rf'{folder} holds .*{name}.*--overwrite'):
        claim_work_dir(work_dir, hooks=[hook])
    claim_work_dir(tmp_path / 'work' / 'toy--tag', hooks=[hook])
    claim_work_dir(work_dir, overwrite=True, hooks=[hook])
    assert (file.exists(), other.exists()) == (False, True)
    claim_work_dir(work_dir, hooks=[hook])


def test_a_folder_of_deepspeed_is_a_checkpoint(tmp_path):
    (tmp_path / 'epoch_3.pth').mkdir()
    with pytest.raises(FileExistsError, match='epoch_3.pth'):
        claim_work_dir(tmp_path)
    claim_work_dir(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


@register_backend('toystore', prefixes='toystore')
class ToyStore(LocalBackend):
    """A store with names such as ``toystore://bucket/run``, below one folder."""

    root = None

    def _local(self, path):
        return str(self.root / str(path).removeprefix('toystore://'))

    def join_path(self, first, *rest):
        return '/'.join([str(first).rstrip('/'), *map(str, rest)])

    def isdir(self, path):
        return super().isdir(self._local(path))

    def isfile(self, path):
        return super().isfile(self._local(path))

    def remove(self, path):
        super().remove(self._local(path))

    def list_dir_or_file(self, path, **options):
        return super().list_dir_or_file(self._local(path), **options)


def test_a_store_that_is_no_disk_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyStore, 'root', tmp_path / 'store')
    hook = {'out_dir': 'toystore://runs'}
    work_dir = tmp_path / 'toy'
    work_dir.mkdir()
    saved = tmp_path / 'store' / 'runs' / 'toy' / 'epoch_3.pth'
    saved.parent.mkdir(parents=True)
    saved.touch()
    with pytest.raises(FileExistsError, match=r'toystore://runs/toy holds .*epoch_3'):
        claim_work_dir(work_dir, hooks=[hook])
    for recorded in ('toystore://runs/toy/epoch_3.pth', ''):
        (work_dir / 'last_checkpoint').write_text(recorded)
        found = find_checkpoint(work_dir, [hook])
        assert found == 'toystore://runs/toy/epoch_3.pth'
    claim_work_dir(work_dir, overwrite=True, hooks=[hook])
    assert not saved.exists()


def test_a_store_that_cannot_be_listed_is_no_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(ToyStore, 'root', tmp_path)
    monkeypatch.setattr(ToyStore, 'list_dir_or_file', refuse)
    (tmp_path / 'runs' / 'toy').mkdir(parents=True)
    claim_work_dir(tmp_path / 'toy', hooks=[{'out_dir': 'toystore://runs'}])


def test_every_hook_that_writes_checkpoints_counts():
    hooks = {
        'default_hooks': {'checkpoint': {'interval': 1}, 'logger': {}},
        'custom_hooks': [
            {'type': 'CheckpointHook', 'out_dir': 'a'},
            {'type': 'EMAHook'},
            {'type': 'hpml_mm.SummaryHook'},
        ],
    }
    assert checkpoint_hooks(Config(hooks)) == [
        {'interval': 1},
        {'type': 'CheckpointHook', 'out_dir': 'a'},
    ]
