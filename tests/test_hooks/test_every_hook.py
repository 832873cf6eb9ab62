# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What holds for every hook: no patch is left, a resume is exact, two ranks agree,
trackers accept its names.
"""

import contextlib
import os
import re
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch
from demo_runs import demo_runner
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from pose_spots import spot_loader, spot_model, write_spots
from toy_runs import (
    FailAt,
    NoisyImages,
    Recorder,
    StopAt,
    Terminal,
    ToyNet,
    for_pruning,
    for_validation,
    loader,
    toy_runner,
)
from two_ranks import on_two_ranks

from hpml_mm.engine.stopping.request import StoppedBySignalError
from hpml_mm.predictor.gnn.regressor import ScoreModel
from hpml_mm.predictor.gnn.targets import TargetScaler
from hpml_mm.registry import HOOKS

pytestmark = pytest.mark.slow

# TensorBoard, MLflow, W&B and ClearML take these; MLflow no more than 250 characters.
ACCEPTED = re.compile(r'(?=.{1,250}$)[\w .-]+(/[\w .-]+)*')
STOP = {'type': 'hpml_mm.GracefulStopHook', 'agree_interval': 1}


class ScaledNet(ToyNet, ScoreModel):
    """Has its labels scaled, as predictors have; of these it takes nothing else."""

    def __init__(self):
        super().__init__()
        self.scaler = TargetScaler('stand')

    outputs = None


def toys(work_dir, hooks, epochs=2, **settings):
    training = {'by_epoch': True, 'max_epochs': epochs}
    parts = {'train_cfg': training, 'randomness': {'seed': 0}, **for_validation()}
    return toy_runner(work_dir, hooks, **{**parts, **settings})


def pruned(work_dir, hooks, **settings):
    hooks = [
        hook | for_pruning(work_dir) if hook['type'] == 'hpml_mm.PruningHook' else hook
        for hook in hooks
    ]
    return toys(work_dir, hooks, **settings)


def noisy(work_dir, hooks, **settings):
    data = {**loader(shuffle=True), 'dataset': NoisyImages()}
    return toys(work_dir, hooks, train_dataloader=data, **settings)


def networks(work_dir, hooks, **settings):
    torch.manual_seed(0)
    data = loader()
    data['dataset'].macs = torch.ones(())
    return toys(work_dir, hooks, model=ScaledNet(), train_dataloader=data, **settings)


def faces(work_dir, hooks, epochs=2, **settings):
    return demo_runner(work_dir, epochs, hooks, randomness={'seed': 0}, **settings)


def few_faces(work_dir, hooks, epochs=2, **settings):
    few = {
        'train_dataloader.batch_size': 8,
        'train_dataloader.dataset.num_per_class': 3,
    }
    return faces(work_dir, hooks, epochs, **few, **settings)


def poses(work_dir, hooks, epochs=2, **settings):
    data = spot_loader(write_spots(work_dir / 'spots', [0, 2, 1, 9, 0, 3, 6, 1]))
    training = {**data, 'dataset': {**data['dataset'], 'test_mode': False}}
    parts = {
        'model': spot_model(),
        'work_dir': str(work_dir),
        'train_dataloader': training,
        'val_dataloader': data,
        'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
        'val_cfg': {},
        'val_evaluator': {'type': 'hpml_mm.KeypointPCK'},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
        'custom_hooks': hooks,
        'experiment_name': uuid.uuid4().hex,
        'default_scope': 'mmpose',
        **settings,
    }
    return Runner.from_cfg(Config(parts))


@dataclass(frozen=True)
class Case:
    """A hook, what it is tried on, and the methods that it replaces for good."""

    arguments: dict = field(default_factory=dict)
    build: Callable = toys
    replaces: frozenset = frozenset()
    slow: bool = False

    def runner(self, name, work_dir, *hooks, **settings):
        hook = {'type': f'hpml_mm.{name.partition(":")[0]}', **self.arguments}
        if name == 'RuntimeInfoHook':  # in the place of MMEngine's
            settings['default_hooks'] = {'runtime_info': hook, 'checkpoint': None}
        else:
            hooks = (hook, *hooks)
        configured = [one for one in hooks if isinstance(one, dict)]
        runner = self.build(work_dir, configured, **settings)
        for one in hooks:
            if one not in configured:
                runner.register_hook(one)
        return runner


WINDOW = {'interval': 2}
PTQ = {'settings': {'latency_seconds': 0, 'max_drop': None}}
CASES = {
    'AmpHook': Case({'val': 'amp'}),
    'AmpHook:measured': Case({'layers': 'measured'}),
    'CheckpointHook': Case({'in_background': True}),
    'ClassWeightHook': Case(build=few_faces),
    'ConfusionMatrixHook': Case(build=few_faces),
    'DataLoadRatioHook': Case(WINDOW),
    'DivergenceHook': Case({'interval': 2}),
    'EnergyHook': Case(),
    'FastPoseInputHook': Case({'cache_gib': 0.01}, poses),
    'GracefulStopHook': Case({'agree_interval': 1}),
    'LoadFromHook': Case(),
    'MonitoredMetricHook': Case(),
    'PTQHook': Case(PTQ, faces, slow=True),
    'PoseSheetHook': Case({'num': 2}, poses),
    'ProgressHook': Case(),
    'PruningHook': Case(build=pruned),
    'QATHook': Case({**PTQ, 'start': 1}, faces, slow=True),
    'ResumeHook': Case(),
    'RuntimeInfoHook': Case(),
    'SampleSeedHook': Case(build=noisy),
    'ScreenHook': Case(),
    'SpeedHook': Case({'optimizer': 'auto', 'wide_batch_norm': True}),
    'SpeedHook:compile': Case(
        {'compile': {'backend': 'aot_eager'}},
        replaces=frozenset({('backbone', 'forward'), ('head', 'forward')}),
    ),
    'SummaryHook': Case(),
    'TargetScalingHook': Case(build=networks),
    'ThroughputHook': Case({**WINDOW, 'warmup_iters': 1}),
    'TorchProfilerHook': Case({'mode': 'both'}),
}
EVERY = [
    pytest.param(name, marks=[pytest.mark.slow] * case.slow)
    for name, case in CASES.items()
]
QUICK = [name for name, case in CASES.items() if not case.slow]


def test_every_hook_is_tried_here():
    HOOKS.import_from_location()
    assert {name.partition(':')[0] for name in CASES} == set(HOOKS.module_dict)


@pytest.fixture(autouse=True)
def terminal(monkeypatch, tmp_path):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    torch.compiler.reset()
    with contextlib.redirect_stdout(Terminal()):
        yield


def outside():
    """What a run may change of its process."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    modes = torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    return [*map(signal.getsignal, signals), sys.stdout, *modes]


def replaced(runner):
    """Methods that an object hides by an attribute of its own, and the data set."""
    data = runner.train_dataloader
    parts = {'runner': runner, 'wrapper': runner.optim_wrapper, 'loader': data}
    parts |= {'train loop': runner.train_loop, 'val loop': runner.val_loop}
    parts |= {'optimizer': runner.optim_wrapper.optimizer, 'data': data.dataset}
    parts |= dict(runner.model.named_modules())
    found = {
        (name, attribute)
        for name, part in parts.items()
        for attribute, value in vars(part).items()
        if callable(value) and callable(getattr(type(part), attribute, None))
    }
    return found | {(type(data), type(data.dataset))}


@pytest.fixture(scope='module')
def without(tmp_path_factory):
    """The same for a run without the hook, by what it is tried on."""
    known = {}

    def find(build):
        if build not in known:
            runner = build(tmp_path_factory.mktemp('plain'), [])
            runner.register_hook(FailAt(5))
            with pytest.raises(RuntimeError, match='toy failure'):
                runner.train()
            known[build] = replaced(runner)
        return known[build]

    return find


@pytest.mark.parametrize('name', CASES)
def test_an_error_leaves_no_patch(tmp_path, without, name):
    before = outside()
    runner = CASES[name].runner(name, tmp_path, FailAt(5))
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    assert outside() == before
    left = replaced(runner) - without(CASES[name].build)
    assert left == CASES[name].replaces


@pytest.mark.parametrize('name', EVERY)
def test_a_stopped_run_ends_as_an_unbroken_one(tmp_path, name):
    def runner(folder, *hooks, **settings):
        stop = [] if name == 'GracefulStopHook' else [STOP]
        return CASES[name].runner(name, tmp_path / folder, *hooks, *stop, **settings)

    whole, part = runner('whole'), runner('part', StopAt(5))
    whole.train()
    with pytest.raises(StoppedBySignalError):
        part.train()
    path = str(tmp_path / 'part' / 'interrupted.pth')
    rest = runner('part', resume=True, load_from=path)
    rest.train()
    assert rest.iter == whole.iter > part.iter
    for key, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[key], value), key


def logged_names(runner):
    recorder = Recorder('')
    runner.visualizer._vis_backends = {'recorder': recorder}
    runner.train()
    return {name for names, _ in recorder.calls for name in names}


@pytest.fixture(scope='module')
def stock_names(tmp_path_factory):
    """Names that a run logs without the hook, by what it is tried on."""
    return cache(
        lambda build: logged_names(build(tmp_path_factory.mktemp('stock'), []))
    )


# One name of each hook that logs numbers or pictures. AmpHook has none of its own in
# bf16, but has the trackers prepared for the one that it may log in fp16.
LOGS = {
    'AmpHook': 'train/loss',
    'AmpHook:measured': 'train/loss',
    'ConfusionMatrixHook': 'confusion/Validation',
    'DataLoadRatioHook': 'train/data_wait_percent',
    'PoseSheetHook': 'pose_fixed',
    'ThroughputHook': 'train/throughput_img_per_s',
    'TorchProfilerHook': 'profile/train',
}


# The slow ones log a text and nothing else; test_quantization_report reads its tag.
@pytest.mark.parametrize('name', QUICK)
def test_trackers_accept_its_names(tmp_path, stock_names, name):
    case = CASES[name]
    own = logged_names(case.runner(name, tmp_path)) - stock_names(case.build)
    assert LOGS[name] in own if name in LOGS else own == set()
    assert {name for name in own if not ACCEPTED.fullmatch(name)} == set()


def _train_on_a_rank(rank, folder):
    os.environ['XDG_CACHE_HOME'] = str(folder)
    for name in QUICK:  # the others refuse several processes
        runner = CASES[name].runner(name, folder / name / str(rank), epochs=1)
        runner.model = MMDistributedDataParallel(runner.model)
        with contextlib.chdir(folder), contextlib.redirect_stdout(Terminal()):
            runner.train()
        weights = dict(runner.model.module.named_parameters())
        torch.save((runner.iter, weights), folder / f'{name}{rank}.pt')


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    on_two_ranks(_train_on_a_rank, folder)
    return folder


@pytest.mark.parametrize('name', QUICK)
def test_two_ranks_end_with_the_same_weights(ranks, name):
    (iters, first), other = (torch.load(ranks / f'{name}{rank}.pt') for rank in (0, 1))
    assert iters == other[0] > 0
    for key, value in first.items():
        assert torch.equal(other[1][key], value), key
