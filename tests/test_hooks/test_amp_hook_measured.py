# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Layers that AmpHook keeps in fp32 because they are faster so."""

import pytest
import torch
from clocked_layers import ClockedNet
from fake_clock import FakeClock
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from toy_runs import FailAt, ToyNet, loader, toy_runner

from hpml_mm.engine.amp import AmpOptimWrapper
from hpml_mm.engine.hooks import AmpHook, ThroughputHook
from hpml_mm.engine.layer_precision import measured
from hpml_mm.utils.files import user_cache

HOOK = {'type': 'hpml_mm.AmpHook', 'layers': 'measured'}
SPEED = {'type': 'hpml_mm.SpeedHook', 'compile': {'backend': 'eager'}}
BF16, FP32 = {torch.bfloat16}, {torch.float32}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache/hpml_mm/precision'


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(measured, '_clock', lambda device: clock)
    return clock


def run(folder, clock, hooks=(HOOK,), seconds=((0.2, 0.1), (0.1, 0.3)), **settings):
    torch.manual_seed(0)
    model = ClockedNet(clock, seconds)
    runner = toy_runner(folder, hooks, **{'model': model, **settings})
    runner.train()
    return runner


def summary(runner):
    return next(h for h in runner.hooks if isinstance(h, AmpHook)).summary()


def dtypes(runner):
    return {name: set(found) for name, found in runner.model.dtypes.items()}


def lines(folder):
    (log,) = folder.glob('*/*.log')
    found = [line for line in log.read_text().splitlines() if 'AmpHook: ' in line]
    return [line.partition('AmpHook: ')[2] for line in found]


def test_the_depthwise_layer_stays_in_fp32(tmp_path, clock):
    runner = run(tmp_path, clock)
    assert dtypes(runner) == {'dense': BF16, 'depthwise': FP32}
    assert summary(runner) == {
        'precision': 'mixed',
        'precision/val': None,
        'amp/fp32_layers': 1,
        'amp/contexts': 4,
    }
    assert lines(tmp_path)[-1].rpartition('; found in ')[0] == (
        '1 of 3 layers in fp32, others in bf16 on cpu, without loss scaling; a step '
        'takes in fp32 0.3 s, in bf16 0.4 s, with 1 layers in fp32 0.2 s'
    )
    # Nothing of it is left on the model.
    with torch.autocast('cpu', torch.bfloat16):
        assert runner.model.depthwise(torch.ones(1, 4, 3, 3)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('seconds', 'expected', 'text', 'layers'),
    [
        (((0.1, 0.2), (0.1, 0.3)), FP32, 'all in fp32; ', 3),
        (((0.2, 0.1), (0.3, 0.1)), BF16, 'all layers in bf16', 0),
    ],
)
def test_one_precision_where_that_is_fastest(
    tmp_path, clock, seconds, expected, text, layers
):
    runner = run(tmp_path, clock, seconds=seconds)
    assert dtypes(runner) == {'dense': expected, 'depthwise': expected}
    assert lines(tmp_path)[-1].startswith(text)
    assert summary(runner)['amp/fp32_layers'] == layers


def test_measuring_changes_nothing_of_the_training(tmp_path, clock, cache):
    # The second finds the plan in the cache: it differs by the measuring alone.
    settings = {
        'train_dataloader': loader(shuffle=True),
        'randomness': {'seed': 0},
    }
    runs = [run(tmp_path / name, clock, **settings) for name in ('a', 'b')]
    assert 'found in' in lines(tmp_path / 'a')[-1]
    (file,) = cache.iterdir()
    assert lines(tmp_path / 'b')[-1].endswith(f'as measured before, {file}')
    first, second = (runner.model.state_dict() for runner in runs)
    for name, value in first.items():
        assert torch.equal(second[name], value), name
    assert first['norm.num_batches_tracked'] == 4


def test_another_machine_batch_or_network_is_measured_anew(
    tmp_path, clock, cache, monkeypatch
):
    run(tmp_path / 'a', clock)
    run(tmp_path / 'b', clock, train_dataloader={**loader(), 'batch_size': 8})
    run(tmp_path / 'c', clock, seconds=((0.3, 0.1), (0.1, 0.3)))
    monkeypatch.setenv('DNNL_MAX_CPU_ISA', 'AVX2')
    run(tmp_path / 'd', clock)
    monkeypatch.setattr(measured, 'device_name', lambda device: 'another')
    run(tmp_path / 'e', clock)
    assert len(list(cache.iterdir())) == 5


@pytest.mark.parametrize(
    'text',
    ['{', '{"layers": []}', '["gone"]', '[1]', '["", "dense"]', '"dense"', '[' * 9999],
)
def test_a_damaged_plan_is_measured_anew(tmp_path, clock, cache, text):
    run(tmp_path / 'a', clock)
    (file,) = cache.iterdir()
    whole = file.read_text()
    file.write_text(text)
    runner = run(tmp_path / 'b', clock)
    assert dtypes(runner) == {'dense': BF16, 'depthwise': FP32}
    assert file.read_text() == whole


def test_without_a_place_to_keep_it_a_plan_is_measured_each_time(
    tmp_path, clock, monkeypatch
):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert not user_cache('precision').is_dir()
    for name in ('a', 'b'):
        runner = run(tmp_path / name, clock)
        assert dtypes(runner)['depthwise'] == FP32


def test_a_resumed_run_keeps_the_plan_that_it_began_with(tmp_path, clock, cache):
    training = {'by_epoch': True, 'max_epochs': 2}
    saving = {'checkpoint': {'type': 'hpml_mm.CheckpointHook', 'interval': 1}}
    run(tmp_path / 'a', clock, default_hooks=saving)
    (file,) = cache.iterdir()
    file.write_text('[]')
    resumed = {
        'resume': True,
        'load_from': str(tmp_path / 'a/epoch_1.pth'),
        'train_cfg': training,
    }
    runner = run(tmp_path / 'b', clock, **resumed)
    assert runner.iter == 8
    assert dtypes(runner) == {'dense': BF16, 'depthwise': FP32}
    assert lines(tmp_path / 'b')[-1].endswith('as this run began')


def test_an_error_leaves_no_hook_on_the_layers(tmp_path, clock):
    model = ClockedNet(clock)
    runner = toy_runner(tmp_path / 'b', [HOOK], model=model)
    runner.register_hook(FailAt(3))
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    assert not model.depthwise._forward_hooks


class OwnStep(ToyNet):
    def train_step(self, data, optim_wrapper):
        return super().train_step(data, optim_wrapper)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'model': OwnStep()}, 'OwnStep has its own: use layers="all"'),
        ({'custom_hooks': [HOOK, SPEED]}, 'or remove compile from SpeedHook'),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, settings, message):
    runner = toy_runner(tmp_path, [HOOK], **settings)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('wrappers', [[MMEngineAmpOptimWrapper], [AmpOptimWrapper] * 2])
def test_wrappers_that_were_not_converted_or_are_several_are_refused(wrappers):
    built = {str(n): kind.__new__(kind) for n, kind in enumerate(wrappers)}
    with pytest.raises(
        ValueError, match=r'found (Amp\w+)(, Amp\w+)?: use layers="all"'
    ):
        measured.measurable_precision(ToyNet(), built)


def test_a_model_that_cannot_be_copied_is_refused(tmp_path, clock):
    model = ClockedNet(clock)
    model.held = torch.ones(1, requires_grad=True) * 2
    with pytest.raises(ValueError, match='ClockedNet cannot be copied'):
        run(tmp_path, clock, model=model)


class SlowCopy(ClockedNet):
    """Takes a minute of the clock for each step of its copy."""

    def __deepcopy__(self, memo):
        copied = ClockedNet(self.dense.clock)
        copied.register_forward_hook(lambda *_: self.dense.clock.advance(60))
        return copied


def test_measuring_does_not_count_as_training(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(ThroughputHook, 'clock', staticmethod(clock))
    throughput = {'type': 'hpml_mm.ThroughputHook', 'interval': 4, 'warmup_iters': 0}
    runner = run(tmp_path, clock, [throughput, HOOK], model=SlowCopy(clock))
    speed = runner.message_hub.get_scalar('train/throughput(img/s)').current()
    # Beside a minute all plans are alike, and fp32 is the first.
    assert speed == pytest.approx(4 * 4 / (4 * 0.3))


def test_an_unknown_word_is_refused():
    with pytest.raises(ValueError, match="layers is 'some', use"):
        AmpHook(layers='some')
