# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names and steps that reach the trackers of a stock config with one hook of ours."""

import errno
import json
import logging
import os

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_runs import ToyMetric, for_testing, for_validation, loader, toy_runner
from toy_tools import toy_config

from hpml_mm.engine.trackers import prepare_trackers
from hpml_mm.runner import build_runner

HOOK = {'type': 'hpml_mm.ThroughputHook', 'interval': 2, 'warmup_iters': 1}
LOGGER = {'logger': {'type': 'LoggerHook', 'interval': 2}}
OURS = {'train/throughput_img_per_s', 'train/memory/peak_GiB'}
TRAIN = {'train/loss', 'train/lr', 'train/time', 'train/data_time', 'iter'}
# TensorBoard alone has a group for what counts, and its axis is no curve.
BOARD = TRAIN - {'iter'} | OURS | {'train/epoch', 'main/throughput_img_per_s'}
MAIN = {'main/count'}
VAL = {'val/count', 'val/time', 'val/data_time'}
ENDLESS = {
    **loader(),
    'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
}


class Own(Hook):
    """Logs something of its own."""

    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 3:
            runner.visualizer.add_scalars({'mine (%)': 1.0, 'iter': 2}, step=7)
            runner.visualizer.add_scalar('mine@', 1.0, step=8)
            picture = np.zeros((4, 4, 3), np.uint8)
            runner.visualizer.add_image('sheet/all(img/s)', picture, step=9)


def logged(work_dir, hooks=(HOOK,), backends=('TensorboardVisBackend',), **settings):
    parts = {
        'default_hooks': {'checkpoint': None, **LOGGER},
        'train_cfg': {'by_epoch': True, 'max_epochs': 2},
        'visualizer': {
            'type': 'Visualizer',
            'vis_backends': [{'type': backend} for backend in backends],
        },
        **for_validation(),
        **settings,
    }
    return toy_runner(work_dir, hooks, **parts)


def pairs(runner):
    """All (tag, step) pairs in the event files of a run."""
    board = EventAccumulator(runner.work_dir).Reload()
    tags = board.Tags()['scalars']
    return {(tag, event.step) for tag in tags for event in board.Scalars(tag)}


def calls_of(runner):
    return runner.visualizer.get_backend('Recorder').calls


def product(tags, steps):
    return {(tag, step) for tag in tags for step in steps}


def test_training_and_validation_share_an_axis_and_no_tag(tmp_path):
    runner = logged(tmp_path)
    runner.train()
    trained = product(BOARD, [2, 4, 6, 8])
    assert pairs(runner) == trained | product(VAL | MAIN, [4, 8])


def test_a_resumed_run_goes_on_along_the_axis(tmp_path):
    saving = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}, **LOGGER}
    first = logged(tmp_path / 'a', default_hooks=saving)
    first.train()
    start = {'resume': True, 'load_from': str(tmp_path / 'a' / 'epoch_1.pth')}
    runner = logged(tmp_path / 'b', **start)
    runner.train()
    assert pairs(runner) == product(BOARD, [6, 8]) | product(VAL | MAIN, [8])


def test_a_loop_by_iterations(tmp_path):
    runner = logged(
        tmp_path,
        train_dataloader=ENDLESS,
        train_cfg={'by_epoch': False, 'max_iters': 6, 'val_interval': 3},
        log_processor={'by_epoch': False},
    )
    runner.train()
    trained = product(BOARD - {'train/epoch'}, [2, 4, 6])
    assert pairs(runner) == trained | product(VAL | MAIN, [3, 6])


def test_a_validation_alone_builds_no_training(tmp_path):
    runner = logged(tmp_path, backends=['Recorder', 'TensorboardVisBackend'])
    runner.val()
    assert [(set(names), step) for names, step in calls_of(runner)] == [(VAL, 0)]
    assert not list(tmp_path.rglob('*tfevents*'))
    assert isinstance(runner._train_loop, dict)


def test_a_test_run_logs_nothing_here(tmp_path):
    runner = logged(tmp_path, backends=['Recorder'], **for_testing())
    runner.test()
    assert calls_of(runner) == []


def test_files_and_log_keep_names_and_steps(tmp_path):
    runner = logged(tmp_path, backends=['LocalVisBackend'])
    runner.train()
    (path,) = tmp_path.rglob('scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line['step'] for line in lines] == [2, 4, 1, 6, 8, 2]
    assert {'loss', 'time', 'data_time', 'throughput(img/s)'} < lines[0].keys()
    assert lines[2].keys() == {'count', 'time', 'data_time', 'step'}
    (log,) = tmp_path.glob('*/*.log')
    assert '[4/4]    count: 16  data_time: ' in log.read_text()


@pytest.mark.parametrize('hierarchy', [False, True])
def test_the_loop_is_named_once(tmp_path, hierarchy):
    processor = {'log_with_hierarchy': hierarchy}
    runner = logged(tmp_path, backends=['Recorder'], log_processor=processor)
    runner.train()
    calls = calls_of(runner)
    assert [step for _, step in calls] == [2, 4, 4, 6, 8, 8]
    assert set(calls[1][0]) == TRAIN | OURS | {'epoch'}
    assert set(calls[2][0]) == VAL


def test_others_keep_their_steps_and_add_no_loop(tmp_path):
    runner = logged(tmp_path, backends=['Recorder'])
    runner.register_hook(Own())
    runner.train()
    assert calls_of(runner)[2:5] == [
        (('mine_percent', 'iter'), 7),
        (('mine',), 8),
        (('sheet/all_img_per_s',), 9),
    ]


def test_runners_of_one_name_share_backends(tmp_path):
    """MMEngine gives the second one the visualizer of the first."""
    first, second = (logged(tmp_path / name, backends=['Recorder']) for name in 'ab')
    second.visualizer = first.visualizer
    first.train()
    second.train()
    calls = calls_of(first)
    assert [step for _, step in calls] == [2, 4, 4, 6, 8, 8] * 2
    assert {name for names, _ in calls for name in names} == (
        TRAIN | OURS | VAL | {'epoch'}
    )


def test_the_tools_need_no_hook_of_ours(tmp_path):
    visualizer = {'type': 'Visualizer', 'vis_backends': [{'type': 'Recorder'}]}
    cfg = toy_config(tmp_path, custom_hooks=[], visualizer=visualizer)
    runner = build_runner(cfg)
    runner.train()
    names = {name for names, _ in calls_of(runner) for name in names}
    assert {'train/time', 'val/time'} < names
    assert [step for _, step in calls_of(runner)] == [2, 4, 6, 6, 8, 10, 12, 12]


def test_a_metric_may_be_called_like_its_loop(tmp_path):
    class Twice(ToyMetric):
        def compute_metrics(self, results):
            return {'top1': 0.5, 'val/top1': 0.25, 'val/top5': 1.0}

    settings = {**for_validation(), 'val_evaluator': Evaluator(Twice())}
    runner = logged(tmp_path, backends=['Recorder'], **settings)
    runner.val()
    (names, _) = calls_of(runner)[0]
    assert names[:3] == ('val/top1', 'val/val/top1', 'val/top5')


def test_a_full_disk_silences_trackers_and_the_training_goes_on(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('mmengine.visualization.LocalVisBackend._dump', full)
    monkeypatch.setattr('mmengine.visualization.TensorboardVisBackend.add_image', full)
    backends = ('LocalVisBackend', 'TensorboardVisBackend', 'Recorder')
    runner = logged(tmp_path, [Own(), HOOK], backends)
    runner.train()
    assert runner.iter == 8
    assert (('mine',), 8) in calls_of(runner)
    log = next(tmp_path.rglob('*.log')).read_text()
    for name in backends[:2]:
        assert log.count(f'{name} cannot write, and the training goes on') == 1
    assert log.count('the disk is full: free some space') == 2
    assert ('train/loss', 8) in pairs(runner)


def test_a_tracker_that_fails_otherwise_ends_the_training(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError('no such host')

    monkeypatch.setattr('mmengine.visualization.LocalVisBackend._dump', fail)
    with pytest.raises(OSError, match='no such host'):
        logged(tmp_path, backends=['LocalVisBackend']).train()


def test_a_log_file_on_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    runner = logged(tmp_path)
    prepare_trackers(runner)
    handler = next(
        one for one in runner.logger.handlers if isinstance(one, logging.FileHandler)
    )

    def fail(number):
        def flush():
            raise OSError(number, os.strerror(number))

        return flush

    monkeypatch.setattr(handler, 'flush', fail(errno.ENOSPC))
    capsys.readouterr()
    runner.logger.info('one')
    runner.logger.info('two')
    told = capsys.readouterr().err
    assert told.count('lacks lines: the disk is full') == 1
    assert 'Traceback' not in told
    monkeypatch.setattr(handler, 'flush', fail(errno.EINVAL))
    runner.logger.info('three')
    assert 'Traceback' in capsys.readouterr().err
