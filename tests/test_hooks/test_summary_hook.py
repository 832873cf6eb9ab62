# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""SummaryHook in real runners: training, test, errors and a disk that refuses."""

import json
import math
import subprocess
import sys

import pytest
import torch
from clocked_runs import (
    BATCH,
    ClockedImages,
    ScriptedMetric,
    clocked_runner,
)
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from hpml_mm.config.command.words import command_line
from hpml_mm.engine.hooks import DataLoadRatioHook, SummaryHook, ThroughputHook


def hooks_on(clock):
    hooks = [
        ThroughputHook(warmup_iters=2, interval=5),
        DataLoadRatioHook(interval=5),
        SummaryHook(),
    ]
    for hook in hooks:
        hook.clock = clock
    return hooks


def read(path):
    def refuse(constant):
        raise AssertionError(f'{constant} is not JSON')

    return json.loads(path.read_text(), parse_constant=refuse)


def for_testing(clock, values=(7.0,)):
    images = ClockedImages(clock, batches=1)
    return {
        'test_dataloader': DataLoader(images, batch_size=BATCH),
        'test_cfg': {},
        'test_evaluator': Evaluator(ScriptedMetric(values)),
    }


def test_training(tmp_path, clock):
    runner = clocked_runner(
        tmp_path,
        clock,
        hooks_on(clock),
        length=3,
        val_interval=1,
        metric=ScriptedMetric((10.0, 30.0, 20.0)),
        default_hooks={
            'checkpoint': {
                'type': 'CheckpointHook',
                'save_best': 'acc',
                'rule': 'greater',
            }
        },
        randomness={'seed': 3},
        cfg=Config({'model': {'type': 'ToyNet'}}, filename=None),
    )
    runner.train()
    summary = read(tmp_path / 'summary.json')
    assert summary['status'] == 'finished'
    assert summary['mode'] == 'train'
    assert summary['metrics'] == {'acc': 20.0}
    assert summary['best'] == {'acc': 30.0, 'checkpoint': 'best_acc_epoch_2.pth'}
    assert (tmp_path / summary['best']['checkpoint']).is_file()
    assert summary['train']['epochs'] == 3
    assert summary['train']['iters'] == 15
    assert summary['train']['dataset_size'] == 5 * BATCH
    assert summary['train']['wall_time(s)'] > 3 * (2 + 5)
    assert summary['seed'] == 3
    assert summary['config'] == {'model': {'type': 'ToyNet'}}
    assert summary['environment']['torch'] == torch.__version__
    assert summary['command'] == command_line(sys.argv)
    assert summary['environment']['processes'] == 1
    measured = summary['measurements']
    assert measured['data_wait(%)'] == pytest.approx(40)
    assert measured['step_time/median(ms)'] == pytest.approx(200)
    assert measured['params(M)'] == 27e-6
    assert measured['mfu(%)'] is None
    assert measured['verdict'].startswith('input-bound: 40.0 %')


def test_the_commit_of_the_project_of_the_config(tmp_path, clock):
    project = tmp_path / 'project'
    project.mkdir()
    (project / 'a.py').write_text('')
    who = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org']
    for words in (['init', '-q'], ['add', '.'], [*who, 'commit', '-q', '-m', 'Start']):
        subprocess.run(['git', '-C', project, *words], check=True)
    config = Config({'model': {'type': 'ToyNet'}}, filename=str(project / 'a.py'))
    runner = clocked_runner(tmp_path / 'w', clock, [SummaryHook()], cfg=config)
    runner.train()
    environment = read(tmp_path / 'w' / 'summary.json')['environment']
    head = ['git', '-C', project, 'rev-parse', 'HEAD']
    commit = subprocess.run(head, capture_output=True, text=True).stdout.strip()
    assert len(commit) == 40
    assert environment['project_commit'] == commit != environment['commit']
    assert environment['project_dirty'] is False


def test_iteration_based_training_has_no_epochs(tmp_path, clock):
    runner = clocked_runner(
        tmp_path, clock, hooks_on(clock), by_epoch=False, length=10, val_interval=5
    )
    runner.train()
    summary = read(tmp_path / 'summary.json')
    assert summary['train']['epochs'] is None
    assert summary['train']['iters'] == 10
    assert summary['metrics'] == {'acc': 1.0}
    assert summary['best'] == {}


def test_several_best_metrics(tmp_path, clock):
    class Two(ScriptedMetric):
        def compute_metrics(self, results):
            value = next(self.values)
            return {'acc': value, 'loss': value}

    runner = clocked_runner(
        tmp_path,
        clock,
        [SummaryHook()],
        val_interval=1,
        metric=Two((10.0, 30.0)),
        default_hooks={
            'checkpoint': {'type': 'CheckpointHook', 'save_best': ['acc', 'loss']}
        },
    )
    runner.train()
    assert read(tmp_path / 'summary.json')['best'] == {
        'acc': 30.0,
        'checkpoint/acc': 'best_acc_epoch_2.pth',
        'loss': 10.0,
        'checkpoint/loss': 'best_loss_epoch_1.pth',
    }


class Odd(Hook):
    def summary(self):
        return {'bound': math.inf, 'tensor': torch.tensor(0.5)}


class Broken(Hook):
    def summary(self):
        raise KeyError('gone')


class Twice(Hook):
    def summary(self):
        return {'bound': 2}


def test_values_that_json_lacks_that_fail_and_of_one_name(tmp_path, clock):
    runner = clocked_runner(
        tmp_path,
        clock,
        [Broken(), Twice(), Odd(), SummaryHook()],
        length=1,
        val_interval=1,
        metric=ScriptedMetric((math.nan,)),
    )
    runner.train()
    summary = read(tmp_path / 'summary.json')
    assert summary['metrics'] == {'acc': None}
    assert summary['measurements'] == {'bound': None, 'tensor': 0.5}
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert "Broken is missing in the summary: KeyError('gone')" in log
    assert "Odd and a hook before it both measured 'bound'" in log


def test_the_other_modes_summary_is_kept(tmp_path, clock):
    def run(*modes):
        runner = clocked_runner(
            tmp_path,
            clock,
            hooks_on(clock),
            length=1,
            **for_testing(clock, (7.0, 8.0)),
        )
        for mode in modes:
            getattr(runner, mode)()

    run('train', 'test')
    assert read(tmp_path / 'summary.json')['mode'] == 'test'
    assert read(tmp_path / 'summary_train.json')['train']['iters'] == 5
    run('test')
    summary = read(tmp_path / 'summary.json')
    assert (summary['mode'], summary['status']) == ('test', 'finished')
    assert summary['metrics'] == {'acc': 7.0}
    assert set(summary['train'].values()) == {None}
    assert summary['measurements']['throughput(img/s)'] is None
    assert (tmp_path / 'summary_train.json').is_file()
    assert not (tmp_path / 'summary_test.json').exists()
    run('train')
    assert read(tmp_path / 'summary.json')['mode'] == 'train'
    assert read(tmp_path / 'summary_test.json')['metrics'] == {'acc': 7.0}
    assert not (tmp_path / 'summary_train.json').exists()


@pytest.mark.parametrize(
    ('error', 'status'),
    [
        (RuntimeError('out of memory'), 'failed'),
        (KeyboardInterrupt(), 'interrupted'),
        (SystemExit(143), 'interrupted'),
    ],
)
def test_broken_run_leaves_a_summary(tmp_path, clock, error, status):
    runner = clocked_runner(tmp_path, clock, hooks_on(clock))
    runner.model.error = error
    runner.model.fail_at = 8
    with pytest.raises(type(error)):
        runner.train()
    summary = read(tmp_path / 'summary.json')
    assert summary['status'] == status
    assert summary['train']['epochs'] == 1
    assert summary['train']['iters'] == 7
    assert summary['measurements']['step_time/n'] == 3


def test_run_that_never_began(tmp_path, clock):
    hook = SummaryHook()
    runner = clocked_runner(tmp_path, clock, [hook])
    assert hook.write(runner, 'failed') == tmp_path / 'summary.json'
    summary = read(tmp_path / 'summary.json')
    assert summary['status'] == 'failed'
    assert summary['train'] == {
        'epochs': 0,
        'iters': 0,
        'dataset_size': 20,
        'wall_time(s)': None,
    }


def test_summary_that_cannot_be_written_is_kept_in_the_log(tmp_path, clock):
    """A directory of that name is in the way: a real error of the file system."""
    (tmp_path / 'summary.json' / 'something').mkdir(parents=True)
    clocked_runner(tmp_path, clock, hooks_on(clock), length=1).train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'The summary could not be written to' in log
    assert '"data_wait(%)": ' in log


def wall_time(work_dir, clock, length, **kwargs):
    """Of a training that saves a checkpoint after each epoch."""
    hook = SummaryHook()
    hook.clock = clock
    checkpoint = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}
    runner = clocked_runner(
        work_dir, clock, [hook], length=length, default_hooks=checkpoint, **kwargs
    )
    runner.train()
    return read(work_dir / 'summary.json')['train']['wall_time(s)']


def test_a_resumed_training_counts_the_time_before_and_not_the_pause(tmp_path, clock):
    # An epoch: 1 s to start, 5 iterations of .2 s, 3 s for the checkpoint.
    assert wall_time(tmp_path, clock, 1) == pytest.approx(5)
    clock.advance(1000)
    assert wall_time(tmp_path, clock, 2, resume=True) == pytest.approx(10)
    clock.advance(1000)
    assert wall_time(tmp_path, clock, 4, resume=True) == pytest.approx(20)


def test_weights_that_are_loaded_only_bring_no_time(tmp_path, clock):
    wall_time(tmp_path, clock, 1)
    load_from = str(tmp_path / 'epoch_1.pth')
    other = tmp_path / 'other'
    assert wall_time(other, clock, 1, load_from=load_from) == pytest.approx(5)


def test_the_time_before_a_checkpoint_without_it_is_unknown(tmp_path, clock):
    wall_time(tmp_path, clock, 1)
    path = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint['hpml_mm_wall_time']
    torch.save(checkpoint, path)
    assert wall_time(tmp_path, clock, 2, resume=True) is None
