# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import errno
import os
import threading
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.hooks import EMAHook
from toy_runs import FailAt, StopAt, for_validation, toy_runner

from hpml_mm.config.disk_errors import WriteError
from hpml_mm.engine.hooks import CheckpointHook, GracefulStopHook, SummaryHook
from hpml_mm.engine.weights import load_from_safetensors
from hpml_mm.runner import replace_checkpoint_hooks

BACKGROUND = pytest.mark.parametrize('in_background', [False, True])


class Scores(BaseMetric):
    """A metric with a score and an error, given for each validation."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = list(scores)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = self.scores.pop(0)
        return {'acc': score, 'error': -score}


def saving(work_dir, hooks=(), kind='hpml_mm.CheckpointHook', epochs=3, **settings):
    changes = {
        key: settings.pop(key) for key in ('resume', 'load_from') & settings.keys()
    }
    if scores := settings.pop('scores', None):
        changes |= for_validation() | {'val_evaluator': Evaluator(Scores(*scores))}
    return toy_runner(
        work_dir,
        hooks,
        default_hooks={'checkpoint': {'type': kind, **settings}},
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        randomness={'seed': 0},
        param_scheduler={'type': 'MultiStepLR', 'milestones': [1]},
        **changes,
    )


def names(folder, pattern='*.pth'):
    hidden = pattern.startswith('.')
    found = [one for one in Path(folder).glob(pattern) if one.name[0] != '.' or hidden]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def load(path):
    return torch.load(path, weights_only=False)


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


def no_room_for(monkeypatch, wanted, number=errno.ENOSPC):
    """Let the disk refuse files of a name."""
    original = torch.save

    def save(checkpoint, file, *args, **kwargs):
        if f'.{wanted}.' in Path(file.name).name:
            file.write(b'half')
            raise OSError(number, os.strerror(number))
        original(checkpoint, file, *args, **kwargs)

    monkeypatch.setattr('torch.save', save)


@BACKGROUND
def test_a_full_disk_costs_no_earlier_checkpoint(tmp_path, monkeypatch, in_background):
    no_room_for(monkeypatch, 'epoch_2')
    runner = saving(
        tmp_path,
        [SummaryHook()],
        interval=1,
        max_keep_ckpts=1,
        in_background=in_background,
    )
    last = tmp_path / 'epoch_1.pth'
    message = rf'epoch_2\.pth could not be written: the disk is full.* from {last}$'
    with pytest.raises(WriteError, match=message):
        runner.train()
    assert names(tmp_path) == ['epoch_1.pth']
    assert names(tmp_path, '.*') == []
    assert (tmp_path / 'last_checkpoint').read_text() == str(last)
    assert '"status": "failed"' in (tmp_path / 'summary.json').read_text()
    assert load(last)['meta']['epoch'] == 1


@BACKGROUND
def test_a_full_disk_costs_no_best_checkpoint(tmp_path, monkeypatch, in_background):
    no_room_for(monkeypatch, 'best_acc_epoch_2', errno.EDQUOT)
    with pytest.raises(WriteError, match=r'best_acc_epoch_2\.pth .* your quota'):
        saving(
            tmp_path, interval=1, save_best='acc', scores=[1.0, 2.0, 3.0],
            in_background=in_background,
        ).train()  # fmt: skip
    assert names(tmp_path) == ['best_acc_epoch_1.pth', 'epoch_1.pth', 'epoch_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_the_last_save_in_the_background_does_not_fail_in_silence(
    tmp_path, monkeypatch
):
    no_room_for(monkeypatch, 'epoch_3')
    with pytest.raises(WriteError, match=r'epoch_3\.pth .* from .*epoch_2\.pth'):
        saving(tmp_path, interval=1, in_background=True).train()


@pytest.mark.parametrize('end', [FailAt(6), StopAt(6)])
def test_what_is_pending_is_written_however_the_training_ends(
    tmp_path, monkeypatch, end
):
    began, go = threading.Event(), threading.Event()
    original = torch.save

    def save(checkpoint, file, *args, **kwargs):
        if 'epoch_1' in str(file.name):
            began.set()
            assert go.wait(60)
        original(checkpoint, file, *args, **kwargs)

    monkeypatch.setattr('torch.save', save)
    hook = CheckpointHook(interval=1, in_background=True)
    finish = hook.finish

    def finish_now(runner):
        assert began.wait(60)
        assert go.is_set() or names(tmp_path) == []
        go.set()
        finish(runner)

    monkeypatch.setattr(hook, 'finish', finish_now)
    runner = toy_runner(
        tmp_path,
        [end, GracefulStopHook()],
        default_hooks={'checkpoint': hook},
        train_cfg={'by_epoch': True, 'max_epochs': 3},
    )
    with pytest.raises((SystemExit, RuntimeError)):
        runner.train()
    last = (tmp_path / 'last_checkpoint').read_text()
    stopped = isinstance(end, StopAt)
    assert Path(last).name == ('interrupted.pth' if stopped else 'epoch_1.pth')
    assert names(tmp_path) == ['epoch_1.pth', 'interrupted.pth'][: 1 + stopped]
    assert load(last)['meta']['iter'] == (6 if stopped else 4)
    assert not [
        one for one in threading.enumerate() if one.name.startswith('checkpoint')
    ]


def test_an_error_is_not_replaced_by_that_of_a_pending_save(tmp_path, monkeypatch):
    no_room_for(monkeypatch, 'epoch_1')
    with pytest.raises(RuntimeError, match='toy failure'):
        saving(tmp_path, [FailAt(5)], interval=1, in_background=True).train()
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'epoch_1.pth could not be written: the disk is full' in log


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


def test_a_resumed_run_cleans_up_behind_a_killed_one(tmp_path):
    settings = dict(interval=1, max_keep_ckpts=1, save_best='acc')
    saving(tmp_path, epochs=2, scores=[1.0, 2.0], **settings).train()
    last = names(tmp_path)
    # As if the process had been killed before it deleted, or amid the next one.
    saving(
        tmp_path / 'b', epochs=2, interval=1, scores=[1.0, 2.0], save_best='acc'
    ).train()
    mine = ('epoch_1.pth', 'best_acc_epoch_1.pth', f'.epoch_3.{2**22 + 1}.tmp.pth')
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
