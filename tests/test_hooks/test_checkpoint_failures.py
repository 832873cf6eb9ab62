# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import errno
import os
import threading
from pathlib import Path

import pytest
import torch
from checkpoint_runs import BACKGROUND, load, names, saving
from toy_runs import FailAt, StopAt, toy_runner

from hpml_mm.config.command.disk_errors import WriteError
from hpml_mm.engine.hooks import CheckpointHook, GracefulStopHook, SummaryHook


def no_room_for(monkeypatch, wanted, number=errno.ENOSPC, after=None):
    """Let the disk refuse files of a name, once an event has come."""
    original = torch.save

    def save(checkpoint, file, *args, **kwargs):
        if f'.{wanted}.' in Path(file.name).name:
            file.write(b'half')
            assert after is None or after.wait(60)
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
    failed = threading.Event()

    class Fail(FailAt):
        def before_train_iter(self, *args, **kwargs):
            try:
                super().before_train_iter(*args, **kwargs)
            except RuntimeError:
                failed.set()
                raise

    no_room_for(monkeypatch, 'epoch_1', after=failed)
    with pytest.raises(RuntimeError, match='toy failure'):
        saving(tmp_path, [Fail(5)], interval=1, in_background=True).train()
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'epoch_1.pth could not be written: the disk is full' in log
