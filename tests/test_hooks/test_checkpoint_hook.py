# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os
import socket
from pathlib import Path

import pytest
import torch
from checkpoint_runs import BACKGROUND, load, names, saving
from mmengine.config import Config
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.hooks import EMAHook

from hpml_mm.engine.weights import load_from_safetensors
from hpml_mm.runner import replace_checkpoint_hooks


def assert_same(one, other):
    """Compare what two checkpoints hold, but for times and names of runs."""
    assert one.keys() == other.keys()
    for part in ('state_dict', 'ema_state_dict'):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
    for part in ('optimizer', 'param_schedulers'):
        assert str(one.get(part)) == str(other.get(part))
    for key in ('epoch', 'iter', 'seed', 'dataset_meta'):
        assert one['meta'][key] == other['meta'][key]


@BACKGROUND
@pytest.mark.parametrize(
    'settings',
    [
        {'interval': 1},
        {'interval': 1, 'max_keep_ckpts': 2},
        {'interval': 2, 'max_keep_ckpts': 1},
        {'interval': 2, 'save_last': False},
        {'interval': 2, 'by_epoch': False, 'max_keep_ckpts': 3},
        {'interval': 1, 'save_best': 'acc', 'scores': [1.0, 3.0, 2.0]},
        {'interval': 1, 'save_best': ['acc', 'error'], 'rule': ['greater', 'less'],
         'scores': [3.0, 4.0, 5.0], 'max_keep_ckpts': 1},
        {'interval': 1, 'save_best': 'auto', 'rule': 'less', 'scores': [3.0, 1.0, 2.0],
         'published_keys': ['meta', 'state_dict']},
        {'interval': 1, 'filename_tmpl': 'run/{:02d}.pth', 'max_keep_ckpts': 1},
        {'interval': 1, 'file_client_args': {'backend': 'disk'}, 'max_keep_ckpts': 1},
        {'interval': 1, 'backend_args': {'backend': 'local'}, 'save_optimizer': False},
    ],
)  # fmt: skip
def test_names_and_contents_are_those_of_mmengine(tmp_path, settings, in_background):
    places = [tmp_path / name / 'run' for name in ('theirs', 'ours')]
    kinds = [('mmengine', {}), ('hpml_mm', {'in_background': in_background})]
    for place, (scope, more) in zip(places, kinds, strict=True):
        kind = f'{scope}.CheckpointHook'
        saving(place, [EMAHook()], kind, **settings, **more).train()
    theirs, ours = (names(place, '**/*.pth') for place in places)
    # The digest in a published name is that of a file with a time in it.
    published = [[name for name in each if '-' in name] for each in (theirs, ours)]
    assert [len(each) for each in published] == [2 * ('published_keys' in settings)] * 2
    assert set(theirs) - set(published[0]) == set(ours) - set(published[1])
    for name in set(ours) - set(published[1]):
        assert_same(*(load(place / name) for place in places))
    pointers = [(place / 'last_checkpoint').read_text() for place in places]
    assert pointers[0].replace('theirs', 'ours') == pointers[1]


@BACKGROUND
def test_a_checkpoint_is_deleted_after_the_next_is_there(
    tmp_path, monkeypatch, in_background
):
    seen = []
    original = os.replace

    def replace(source, target):
        name = Path(target).name
        if name.endswith('.pth') or name == 'last_checkpoint':
            seen.append((name, names(tmp_path)))
        original(source, target)

    monkeypatch.setattr('os.replace', replace)
    saving(
        tmp_path, interval=1, max_keep_ckpts=1, save_best='acc', scores=[1.0, 2.0],
        in_background=in_background, epochs=2,
    ).train()  # fmt: skip
    first, best = 'epoch_1.pth', 'best_acc_epoch_1.pth'
    assert seen == [
        (first, []),
        ('last_checkpoint', [first]),
        (best, [first]),
        (first, [best, first]),
        ('last_checkpoint', [best, first]),
        ('epoch_2.pth', [best, first]),
        ('last_checkpoint', [best, first, 'epoch_2.pth']),
        ('best_acc_epoch_2.pth', [best, 'epoch_2.pth']),
        ('epoch_2.pth', [best, 'best_acc_epoch_2.pth', 'epoch_2.pth']),
        ('last_checkpoint', [best, 'best_acc_epoch_2.pth', 'epoch_2.pth']),
    ]
    assert names(tmp_path) == ['best_acc_epoch_2.pth', 'epoch_2.pth']


def test_training_goes_on_from_the_newest_whole_one(tmp_path):
    saving(tmp_path, interval=1).train()
    (tmp_path / 'epoch_3.pth').write_bytes(b'PK')
    runner = saving(tmp_path, epochs=4, interval=1, resume=True)
    runner.train()
    assert (runner.epoch, runner.iter) == (4, 16)
    log = max(tmp_path.rglob('*.log')).read_text()
    assert 'epoch_3.pth is cut off or damaged' in log
    with pytest.raises(
        ValueError, match=r'gone\.pth is not there; the newest .*epoch_4'
    ):
        saving(tmp_path, epochs=5, resume=True, load_from='gone.pth').train()
    for path in tmp_path.glob('*.pth'):
        path.write_bytes(b'')
    with pytest.raises(ValueError, match='no checkpoint that is whole'):
        saving(tmp_path, epochs=5, resume=True).train()


def test_a_resumed_run_cleans_up_behind_a_killed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'node-1')
    settings = dict(interval=1, max_keep_ckpts=1, save_best='acc')
    saving(tmp_path, epochs=2, scores=[1.0, 2.0], **settings).train()
    last = names(tmp_path)
    # As if the process had been killed before it deleted, or amid the next one.
    saving(
        tmp_path / 'b', epochs=2, interval=1, scores=[1.0, 2.0], save_best='acc'
    ).train()
    partly = f'.epoch_3.{2**22 + 1}@node-1.tmp.pth'
    mine = ('epoch_1.pth', 'best_acc_epoch_1.pth', partly)
    for name in (*mine, 'imagenet.pth'):
        (tmp_path / name).touch()
    saving(tmp_path, epochs=2, resume=True, scores=[0.0], **settings).train()
    assert names(tmp_path) == sorted([*last, 'imagenet.pth'])
    assert names(tmp_path, '.*') == []


def test_a_moved_run_keeps_one_best_checkpoint_and_spares_others(tmp_path):
    settings = dict(interval=1, save_best='acc')
    old, new = tmp_path / 'old', tmp_path / 'new'
    saving(old, epochs=1, scores=[1.0], **settings).train()
    old.rename(new)
    old.mkdir()
    (old / 'best_acc_epoch_1.pth').touch()
    saving(new, epochs=2, resume=True, scores=[2.0], **settings).train()
    assert names(new, 'best*') == ['best_acc_epoch_2.pth']
    assert names(old) == ['best_acc_epoch_1.pth']


@BACKGROUND
def test_weights_alone_beside_the_best(tmp_path, in_background):
    saving(
        tmp_path, [EMAHook()], interval=1, save_best='acc', scores=[1.0, 2.0, 0.0],
        safetensors=True, in_background=in_background,
    ).train()  # fmt: skip
    assert names(tmp_path, '*.safetensors') == ['best_acc_epoch_2.safetensors']
    weights = load_from_safetensors(str(tmp_path / 'best_acc_epoch_2.safetensors'))
    best = load(tmp_path / 'best_acc_epoch_2.pth')['state_dict']
    torch.testing.assert_close(weights['state_dict'], dict(best), rtol=0, atol=0)
    assert weights['meta']['dataset_meta']['classes'] == ('a', 'b', 'c')


class Other(MMEngineCheckpointHook):
    pass


def test_the_hook_of_mmengine_is_replaced_unless_it_is_asked_for():
    custom = [
        {'type': 'CheckpointHook', 'interval': 5},
        {'type': MMEngineCheckpointHook},
        {'type': 'mmengine.CheckpointHook'},
        {'type': Other},
        {'type': 'EMAHook'},
        Other(),
    ]
    cfg = Config({'default_hooks': {'logger': None}, 'custom_hooks': custom})
    assert replace_checkpoint_hooks(cfg)
    ours = 'hpml_mm.CheckpointHook'
    assert cfg.default_hooks.checkpoint == {'type': ours, 'interval': 1}
    kinds = [hook['type'] for hook in cfg.custom_hooks[:-1]]
    assert kinds == [ours, ours, 'mmengine.CheckpointHook', Other, 'EMAHook']
    assert cfg.custom_hooks[0].interval == 5
    assert not replace_checkpoint_hooks(cfg)
    assert not replace_checkpoint_hooks(Config({'default_hooks': {'checkpoint': None}}))
    assert not replace_checkpoint_hooks(Config({'runner_type': 'FlexibleRunner'}))
