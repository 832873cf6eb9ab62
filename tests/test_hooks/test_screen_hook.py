# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The screen of real runs: a card, a line an epoch, a verdict, and nothing else."""

import contextlib
import io
import itertools
import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.hub import get_config
from toy_runs import FailAt, Terminal, for_testing
from toy_runs import toy_runner as plain_runner
from toy_tools import toy_config, toy_runner

from hpml_mm.config.overrides import CONFIGS
from hpml_mm.engine.hooks import ProgressHook, ScreenHook
from hpml_mm.engine.screen.card import card
from hpml_mm.runner import build_runner

DEMO = 'demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py'
CARD = ['config', 'data', 'length', 'device', 'metric', 'switched on', 'start']
CARD += ['output', 'precision', 'model']
BEST = {'checkpoint': {'type': 'CheckpointHook', 'save_best': 'accuracy/top1'}}
MEASURE = [
    {'type': 'hpml_mm.ThroughputHook', 'warmup_iters': 1, 'interval': 2},
    {'type': 'hpml_mm.DataLoadRatioHook', 'interval': 2},
]


def seconds():
    """A clock that is read ten seconds after the last time."""
    return itertools.count(step=10.0).__next__


def lines_of(runner, work='train'):
    """Lines that a run shows in a pipe from its start on."""
    screen = io.StringIO()
    for handler in runner.logger.handlers:
        if getattr(handler, 'stream', None) is sys.stdout:
            handler.setStream(screen)
    with contextlib.redirect_stdout(screen), contextlib.suppress(RuntimeError):
        getattr(runner, work)()
    assert not {'\r', '\x1b'} & {*screen.getvalue()}
    return own_lines(screen)


def own_lines(screen):
    """Lines without what MMEngine says of the toy's metric and loader."""
    stock = ('The prefix is not set', 'Reach the end of the dataloader')
    lines = screen.getvalue().splitlines()
    return [line for line in lines if not any(text in line for text in stock)]


def names(lines):
    return [re.split(' {2,}|(?<=switched on) ', line)[0] for line in lines]


def test_a_training_shows_its_card_its_epochs_and_its_verdict(tmp_path):
    runner = toy_runner(tmp_path, custom_hooks=MEASURE, default_hooks=BEST)
    runner.register_hook(ScreenHook(clock=seconds()))
    lines = lines_of(runner)
    assert names(lines) == [*CARD, 'epoch 1/2', 'epoch 2/2', 'verdict']
    card = dict(zip(CARD, (line[12:] for line in lines), strict=False))
    assert card['config'].endswith('toy_2e.py, seed 0')
    assert card['data'] == '24 to train, 12 to validate, batches of 4, no workers'
    assert card['length'] == '2 epochs of 6 iterations, SGD'
    assert card['metric'] == 'accuracy/top1'
    assert card['switched on'] == 'data load ratio, throughput'
    assert card['start'] == 'anew'
    assert card['precision'] == 'float32 in the first step, weights in float32'
    # 4 * 8 + 8 * 3 multiply-accumulates; once forward and for the gradients of both
    # weights, and for that of the hidden values.
    macs = 2 * (4 * 8 + 8 * 3) + 8 * 3
    assert card['model'].startswith(
        f'ToyClassifier, 83 parameters, {macs / 1e9:.3g} GMACs an image and step'
    )
    first, second = lines[10:12]
    assert re.fullmatch(
        r'epoch 1/2  accuracy/top1 \d+\.\d\d \(best so far\)  loss \d\.\d{4}  '
        r'[\d,]+ images/s  0:00:\d0  ETA \d:\d\d:\d\d',
        first,
    )
    assert second.endswith('ETA 0:00:00')
    # The file has all of it, among the rest.
    (log,) = tmp_path.glob('*/*.log')
    for line in [*lines, 'Saving checkpoint at 2 epochs']:
        assert line in log.read_text()


def test_the_loss_is_the_mean_of_the_epoch(tmp_path):
    losses = []

    class Losses(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            losses.append(float(outputs['loss'].detach()))

    runner = toy_runner(tmp_path, custom_hooks=[])
    runner.register_hook(Losses())
    runner.register_hook(ScreenHook())
    epochs = [line for line in lines_of(runner) if line.startswith('epoch')]
    means = sum(losses[:6]) / 6, sum(losses[6:]) / 6
    for line, mean in zip(epochs, means, strict=True):
        assert f'loss {mean:.4f}' in line


def test_a_config_of_a_package_has_the_name_that_a_command_takes(tmp_path):
    runner = toy_runner(tmp_path)
    path = get_config('mmpretrain::resnet/resnet18_8xb16_cifar10.py').filename
    for file, told in (
        (path, 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'),
        (CONFIGS / DEMO, f'hpml_mm::{DEMO}'),
    ):
        runner.cfg = Config({}, filename=str(file))
        assert next(card(runner, test=False)) == f'config      {told}, seed 0'


def test_a_training_without_validation_has_its_lines_too(tmp_path):
    hook = {'type': 'hpml_mm.ScreenHook'}
    epochs = {'by_epoch': True, 'max_epochs': 2}
    lines = lines_of(plain_runner(tmp_path, [hook], train_cfg=epochs))
    assert names(lines)[9:] == ['model', 'epoch 1/2', 'epoch 2/2']
    tenths = {'by_epoch': False, 'max_iters': 20}
    lines = lines_of(plain_runner(tmp_path, [hook], train_cfg=tenths))
    expected = [f'iteration {done}/20' for done in range(2, 21, 2)]
    assert names(lines)[10:] == expected


def test_an_end_before_the_end_is_told(tmp_path):
    stop = EarlyStoppingHook('accuracy/top1', rule='greater', stopping_threshold=-1)
    runner = toy_runner(tmp_path, custom_hooks=[])
    for hook in (stop, ScreenHook()):
        runner.register_hook(hook)
    assert 'stopped early, after iteration 6' in lines_of(runner)


def test_a_failure_in_the_first_step_leaves_the_whole_card(tmp_path):
    lines = lines_of(plain_runner(tmp_path, [FailAt(1), ScreenHook()]))
    assert names(lines) == CARD
    assert 'GMACs' not in lines[-1]


def test_a_resumed_run_says_from_where(tmp_path):
    toy_runner(tmp_path / 'first', custom_hooks=[]).train()
    path = str(tmp_path / 'first' / 'epoch_1.pth')
    parts = {'load_from': path, 'resume': True, 'custom_hooks': []}
    runner = toy_runner(tmp_path / 'second', **parts)
    runner.register_hook(ScreenHook())
    lines = lines_of(runner)
    assert f'start       resumed from {path} in epoch 2, iteration 7' in lines
    assert names(lines)[-2:] == ['model', 'epoch 2/2']


def test_a_test_has_a_card_but_not_one_within_a_training(tmp_path):
    class TestsHook(Hook):
        def after_train_epoch(self, runner):
            runner.test()

    runner = plain_runner(tmp_path, [ScreenHook()], **for_testing())
    without = ('length', 'metric')
    expected = [name for name in CARD if name not in without]
    assert names(lines_of(runner, 'test')) == expected
    runner = plain_runner(tmp_path, [TestsHook(), ScreenHook()], **for_testing())
    assert names(lines_of(runner)) == [*CARD, 'epoch 1/1']


def test_the_runner_takes_the_hook_of_the_config_and_the_wish_for_more(tmp_path):
    own = {'type': 'hpml_mm.ScreenHook', 'redraws_per_second': 1}
    cfg = toy_config(tmp_path, custom_hooks=[own])
    runner = build_runner(cfg, screen=ScreenHook(verbose=True))
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, ScreenHook))
    assert hook.verbose
    lines = lines_of(runner)
    for part in ('Epoch(train) [2][6/6]', ' - INFO - config  ', 'INFO - epoch 2/2'):
        assert sum(part in line for line in lines) == 1


@pytest.mark.parametrize('others', [[], [ProgressHook()]])
def test_there_is_one_bar(tmp_path, monkeypatch, others):
    monkeypatch.setenv('TERM', 'xterm')
    terminal = Terminal()
    with contextlib.redirect_stdout(terminal):
        runner = toy_runner(tmp_path, custom_hooks=[])
        for hook in [*others, ScreenHook(clock=seconds())]:
            runner.register_hook(hook)
        runner.train()
    shown = terminal.getvalue()
    assert shown.count('\x1b[?25l') == 1  # the cursor is hidden once
    assert 'epoch 2/2' in shown
    assert 'Epoch(train)' not in shown


def test_a_notebook_has_the_bar_in_one_place(tmp_path, monkeypatch):
    """By a stand-in for IPython, which shows what is displayed and updated."""

    class Stream(io.StringIO):
        __module__ = 'ipykernel.iostream'

    drawn = []

    def display(content, raw, display_id=False):
        drawn.append(('new', content['text/plain']))
        update = lambda content, raw: drawn.append(('same', content['text/plain']))  # noqa: E731
        return SimpleNamespace(update=update)

    notebook = ModuleType('IPython')
    notebook.get_ipython = lambda: SimpleNamespace(kernel=object())
    notebook.display = ModuleType('IPython.display')
    notebook.display.display = display
    monkeypatch.setitem(sys.modules, 'IPython', notebook)
    monkeypatch.setitem(sys.modules, 'IPython.display', notebook.display)
    runner = toy_runner(tmp_path, custom_hooks=[])
    runner.register_hook(ScreenHook(clock=seconds()))
    cell = Stream()
    for handler in runner.logger.handlers:
        if getattr(handler, 'stream', None) is sys.stdout:
            handler.setStream(cell)
    with contextlib.redirect_stdout(cell):
        runner.train()
    assert [place for place, _ in drawn].count('new') == 1
    assert '12/12' in drawn[-2][1]
    assert drawn[-1] == ('same', '')
    assert names(own_lines(cell)) == [*CARD, 'epoch 1/2', 'epoch 2/2']
    assert '\x1b' not in json.dumps(drawn)
