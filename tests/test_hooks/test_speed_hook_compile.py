# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn
from toy_runs import for_testing, for_validation, on_two_ranks, toy_runner

from hpml_mm.engine.speed import CompiledForward

# Traces as the default backend does, but needs no compiler and no time.
HOOK = {'type': 'hpml_mm.SpeedHook', 'compile': {'backend': 'aot_eager'}}
EMA = {'type': 'EMAHook', 'momentum': 0.5}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class PartsNet(BaseModel):
    """A backbone and a head that is called past ``__call__``, as MMPose's are."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        )

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.head.forward(self.backbone(inputs))
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(logits, data_samples)}
        return list(logits)


def run(work_dir, *hooks, epochs=2, **settings):
    torch.manual_seed(0)
    settings.setdefault('model', PartsNet())
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


def test_a_compiled_run_follows_the_plain_one(tmp_path):
    plain = run(tmp_path / 'a', EMA)
    fast = run(tmp_path / 'b', EMA, HOOK)
    assert isinstance(fast.model.backbone.forward, CompiledForward)
    assert losses(fast) == pytest.approx(losses(plain), rel=1e-5)
    own, other = (
        torch.load(tmp_path / d / 'epoch_2.pth', weights_only=False) for d in 'ba'
    )
    for part in ('state_dict', 'ema_state_dict'):
        assert own[part].keys() == other[part].keys()
        for key, value in other[part].items():
            torch.testing.assert_close(own[part][key], value, rtol=1e-4, atol=1e-6)
    log = next((tmp_path / 'b').glob('*/*.log')).read_text()
    assert 'SpeedHook: compiled for training: backbone, head' in log


def test_it_resumes_to_the_same_losses(tmp_path):
    whole = run(tmp_path / 'a', HOOK)
    run(tmp_path / 'b', HOOK, epochs=1)
    resumed = run(tmp_path / 'b', HOOK, resume=True)
    assert losses(resumed) == losses(whole)


def test_a_test_run_compiles_nothing(tmp_path):
    runner = toy_runner(tmp_path, [HOOK], model=PartsNet(), **for_testing())
    runner.test()
    assert not isinstance(runner.model.backbone.forward, CompiledForward)


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
    plain = run(tmp_path / 'a', **adam)
    run(tmp_path / 'b', epochs=1, **adam)
    fused = {'type': 'hpml_mm.SpeedHook', 'optimizer': 'auto'}
    resumed = run(tmp_path / 'b', fused, resume=True, **adam)
    assert resumed.optim_wrapper.optimizer.param_groups[0]['fused'] is True
    assert losses(resumed) == pytest.approx(losses(plain), rel=1e-4)
    log = sorted((tmp_path / 'b').glob('*/*.log'))[-1].read_text()
    assert 'SpeedHook: Adam is fused' in log


def test_amp_hook_converts_the_wrapper_of_a_fused_optimizer(tmp_path):
    hooks = [
        {'type': 'hpml_mm.SpeedHook', 'optimizer': 'fused'},
        {'type': 'hpml_mm.AmpHook'},
    ]
    runner = run(tmp_path, *hooks, epochs=1)
    assert type(runner.optim_wrapper) is not OptimWrapper
    assert runner.optim_wrapper.optimizer.param_groups[0]['fused'] is True
    assert all(value < 2 for value in losses(runner))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'compile': 'yes'}, "compile is 'yes'; use True, False"),
        ({'compile': {'modes': 1}}, "unknown argument 'modes'"),
        ({'optimizer': 'fast'}, "optimizer is 'fast'; use one of auto, fused"),
    ],
)
def test_mistakes_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, {'type': 'hpml_mm.SpeedHook', **settings})


def _train_on_a_rank(rank, folder):
    torch.manual_seed(0)
    model = MMDistributedDataParallel(PartsNet())
    runner = toy_runner(folder / str(rank), [HOOK], model=model)
    runner.train()
    assert isinstance(model.module.head.forward, CompiledForward)
    torch.save(model.module.state_dict(), folder / f'rank{rank}.pt')


def test_a_distributed_model_stays_in_step(tmp_path):
    on_two_ranks(_train_on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1))
    torch.testing.assert_close(
        first['head.2.weight'], second['head.2.weight'], rtol=0, atol=0
    )
