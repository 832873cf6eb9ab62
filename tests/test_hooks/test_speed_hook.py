# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmcv.cnn.bricks import Swish
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch import nn
from toy_runs import ToyNet, for_testing, for_validation, toy_runner

from hpml_mm.engine.hooks import SpeedHook
from hpml_mm.engine.speed import CompiledForward, use_implementation_
from hpml_mm.engine.wide_batch_norm import WideBatchNorm2d

pytestmark = pytest.mark.slow

HOOK = {'type': 'hpml_mm.SpeedHook'}
# Traces as the default backend does, but needs no compiler and no time.
COMPILE = {**HOOK, 'compile': {'backend': 'aot_eager'}}
EMA = {'type': 'EMAHook', 'momentum': 0.5}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def run(work_dir, *hooks, epochs=2, **settings):
    runner = toy_runner(
        work_dir,
        hooks,
        train_cfg={'by_epoch': True, 'max_epochs': epochs, 'val_interval': 1},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 1}},
        **for_validation(),
        **settings,
    )
    runner.train()
    return runner


def losses(runner):
    return runner.message_hub.get_scalar('train/loss').data[0].tolist()


def log_of(folder):
    return sorted(folder.glob('*/*.log'))[-1].read_text()


def is_channels_last(weight) -> bool:
    # A weight of one input channel is contiguous in both layouts: look at the strides.
    return (
        weight.stride()
        == torch.empty(weight.shape, memory_format=torch.channels_last).stride()
    )


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """Two epochs without the hook, but with averaged weights; and their folder."""
    folder = tmp_path_factory.mktemp('plain')
    return run(folder, EMA), folder


def test_training_gives_the_same_parameters_in_another_layout(tmp_path, plain):
    fast = run(tmp_path, HOOK).model
    assert is_channels_last(fast.backbone[0].weight)
    assert type(fast.backbone[1]) is nn.BatchNorm2d
    expected = plain[0].model
    assert not is_channels_last(expected.backbone[0].weight)
    for param, other in zip(fast.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(param, other, rtol=1e-4, atol=1e-5)
    assert 'SpeedHook: 1 convolutions channels-last' in log_of(tmp_path)


@pytest.mark.parametrize('channels_last', [True, False])
def test_a_test_run_is_converted_too_but_not_compiled(tmp_path, channels_last):
    hook = {**COMPILE, 'channels_last': channels_last}
    runner = toy_runner(tmp_path, [hook], **for_testing())
    runner.test()
    weight = runner.model.backbone[0].weight
    assert is_channels_last(weight) is channels_last
    assert not isinstance(runner.model.backbone.forward, CompiledForward)


@pytest.mark.parametrize(
    ('channels_last', 'kind'), [(True, WideBatchNorm2d), (False, nn.BatchNorm2d)]
)
def test_thin_batch_norms_are_computed_by_wide_pixels(tmp_path, channels_last, kind):
    class ThinNet(ToyNet):
        def __init__(self):
            super().__init__()
            self.thick = nn.BatchNorm2d(32)

    hook = {**HOOK, 'wide_batch_norm': True, 'channels_last': channels_last}
    model = run(tmp_path, hook, epochs=1, model=ThinNet()).model
    assert type(model.backbone[1]) is kind
    assert type(model.thick) is nn.BatchNorm2d


@pytest.mark.parametrize('fused', [True, False])
def test_swish_is_one_kernel(tmp_path, fused):
    model = ToyNet()
    model.backbone[2] = Swish()
    runner = toy_runner(tmp_path, [{**HOOK, 'fused_swish': fused}], model=model)
    runner.train()
    assert type(model.backbone[2]) is (nn.SiLU if fused else Swish)
    assert ('1 Swish layers by one kernel' in log_of(tmp_path)) is fused


def test_a_compiled_run_follows_the_plain_one(tmp_path, plain):
    fast = run(tmp_path, EMA, COMPILE)
    assert isinstance(fast.model.backbone.forward, CompiledForward)
    assert losses(fast) == pytest.approx(losses(plain[0]), rel=1e-5)
    own, other = (
        torch.load(folder / 'epoch_2.pth', weights_only=False)
        for folder in (tmp_path, plain[1])
    )
    for part in ('state_dict', 'ema_state_dict'):
        assert own[part].keys() == other[part].keys()
        for key, value in other[part].items():
            torch.testing.assert_close(own[part][key], value, rtol=1e-4, atol=1e-6)
    assert 'SpeedHook: compiled for training: backbone, head' in log_of(tmp_path)


def test_auto_compiles_nothing_on_a_cpu(tmp_path):
    runner = run(tmp_path, {**HOOK, 'compile': 'auto'}, epochs=1)
    assert not isinstance(runner.model.backbone.forward, CompiledForward)


def test_a_missing_compiler_is_an_error_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', '/no/such/compiler')
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', str(tmp_path / 'cache'))
    # Not by monkeypatch: it would take the setting away from all that comes later.
    missing = {'cpp.cxx': (None, '/no/such/compiler')}
    with (
        torch._inductor.config.patch(missing),
        pytest.raises(ValueError, match='No working C.. compiler.*apt install g'),
    ):
        run(tmp_path, {**HOOK, 'compile': True})


def test_the_optimizer_stays_fused_after_resuming_a_plain_run(tmp_path):
    adam = {'optim_wrapper': {'optimizer': {'type': 'Adam', 'lr': 0.01}}}
    expected = run(tmp_path, **adam)
    fused = {**HOOK, 'optimizer': 'auto'}
    path = str(tmp_path / 'epoch_1.pth')
    resumed = run(tmp_path / 'b', fused, resume=True, load_from=path, **adam)
    assert resumed.optim_wrapper.optimizer.param_groups[0]['fused'] is True
    assert is_channels_last(resumed.model.backbone[0].weight)
    assert losses(resumed) == pytest.approx(losses(expected), rel=1e-4)
    assert 'SpeedHook: Adam is fused' in log_of(tmp_path / 'b')


def test_amp_hook_converts_the_wrapper_of_a_fused_optimizer(tmp_path):
    hooks = [{**HOOK, 'optimizer': 'fused'}, {'type': 'hpml_mm.AmpHook'}]
    runner = run(tmp_path, *hooks, epochs=1)
    assert type(runner.optim_wrapper) is not OptimWrapper
    assert runner.optim_wrapper.optimizer.param_groups[0]['fused'] is True
    assert all(value < 2 for value in losses(runner))


def summary_of(runner):
    return next(h for h in runner.hooks if isinstance(h, SpeedHook)).summary()


def test_the_summary_tells_what_the_first_step_did(tmp_path):
    hook = {**HOOK, 'optimizer': 'fused'}
    accumulated = {
        'optimizer': {'type': 'SGD', 'lr': 0.1},
        'accumulative_counts': 3,
    }
    runner = run(tmp_path, hook, epochs=1, optim_wrapper=accumulated)
    assert summary_of(runner) == {
        'channels_last(%)': 100.0,
        # Pictures of one channel have both layouts.
        'channels_last/relaid': 0,
        'compile/graphs': None,
        'compile/graph_breaks': None,
        'optimizer/implementation': 'fused',
    }
    assert 'WARNING - SpeedHook' not in log_of(tmp_path)
    optimizer = runner.optim_wrapper.optimizer
    assert 'step' not in vars(optimizer)
    assert not any(module._forward_hooks for module in runner.model.modules())


def test_a_model_that_undoes_the_layout_is_named(tmp_path):
    class Undone(nn.Conv2d):
        def forward(self, inputs):
            return super().forward(inputs).contiguous()

    model = ToyNet()
    model.backbone[0] = Undone(1, 8, 3, padding=1)
    runner = run(tmp_path, HOOK, epochs=1, model=model)
    assert summary_of(runner)['channels_last(%)'] == 0
    assert '0 of 1 convolutions compute channels-last' in log_of(tmp_path)


def test_a_model_without_convolutions_claims_none(tmp_path):
    model = ToyNet()
    model.backbone = nn.AdaptiveAvgPool2d(1)
    model.head = nn.Sequential(nn.Flatten(), nn.Linear(1, 3))
    runner = run(tmp_path, HOOK, epochs=1, model=model)
    assert summary_of(runner)['channels_last(%)'] is None
    assert 'SpeedHook: 0 convolutions channels-last' in log_of(tmp_path)


def test_another_implementation_than_was_asked_for_is_named(tmp_path):
    class Reset(Hook):
        def before_train_epoch(self, runner):
            use_implementation_(runner.optim_wrapper.optimizer, 'foreach')

    runner = run(tmp_path, {**HOOK, 'optimizer': 'fused'}, Reset(), epochs=1)
    assert summary_of(runner)['optimizer/implementation'] == 'foreach'
    line = 'SGD was to be fused, but PyTorch runs its foreach implementation'
    assert log_of(tmp_path).count(line) == 1


class BrokenHead(nn.Module):
    """A head within which the graph breaks."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(8, 3)

    def forward(self, inputs):
        flat = self.flat(inputs)
        torch._dynamo.graph_break()
        return self.fc(flat)


def test_graphs_and_their_breaks_are_counted(tmp_path):
    model = ToyNet()
    model.head = BrokenHead()
    runner = run(tmp_path, COMPILE, epochs=1, model=model)
    summary = summary_of(runner)
    # The backbone, and the head before and after the break.
    assert (summary['compile/graphs'], summary['compile/graph_breaks']) == (3, 1)
    assert summary['channels_last(%)'] is None


def test_a_compilation_that_runs_eagerly_is_named(tmp_path):
    with torch.compiler.set_stance('force_eager'):
        runner = run(tmp_path, COMPILE, epochs=1)
    assert summary_of(runner)['compile/graphs'] == 0
    assert 'torch.compile made no graph in the first step' in log_of(tmp_path)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'compile': 'yes'}, "compile is 'yes'"),
        ({'compile': {'modes': 1}}, "'modes'"),
        ({'optimizer': 'fast'}, "optimizer is 'fast'; use one of auto, fused"),
    ],
)
def test_mistakes_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        toy_runner(tmp_path, [{**HOOK, **settings}])
