# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Energy of trainings, by counters that follow a fake clock."""

import sys
import types

import pytest
import torch
from clocked_runs import clocked_runner

from hpml_mm.engine.hooks import EnergyHook
from hpml_mm.engine.hooks.energy_hook import total_energy
from hpml_mm.measure.energy import EnergyMeter, find_counters, package_counter

NAMES = ('run', 'gpu', 'cpu', 'train', 'image')


def energy(summary):
    return [summary[f'energy/{name}(J)'] for name in NAMES]


def energy_hook(clock, counters=None, reason=None):
    """With CPU packages of 50 W, if no other counters are given."""
    hook = EnergyHook()
    hook.clock = clock
    if counters is None:
        counters = {'cpu': lambda: 50 * clock.now}
    hook.find = lambda device, packages: (counters, reason)
    return hook


def test_training_alone_and_the_whole_run(tmp_path, clock):
    hook = energy_hook(clock)
    runner = clocked_runner(tmp_path, clock, [hook], val_interval=1)
    runner.train()
    found = hook.summary()
    # Ten steps of .2 s and two starts of 1 s; 40 images.
    assert found['energy/train(J)'] == pytest.approx(50 * 4)
    assert found['energy/image(J)'] == pytest.approx(50 * 4 / 40)
    # Besides, two validations of 5.08 s and two checkpoints of 3 s.
    assert found['energy/run(J)'] == pytest.approx(50 * (4 + 2 * 5.08 + 2 * 3))
    assert found['energy/cpu(J)'] == found['energy/run(J)']
    assert found['energy/gpu(J)'] is None
    assert found['energy/reason'] is None


def test_a_training_that_breaks_off_has_what_it_took(tmp_path, clock):
    hook = energy_hook(clock)
    runner = clocked_runner(tmp_path, clock, [hook])
    runner.model.fail_at = 3
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    found = hook.summary()
    assert found['energy/run(J)'] > 0
    assert found['energy/reason'] is None


def test_without_a_counter_there_is_a_reason_and_a_warning(tmp_path, clock, caplog):
    hook = energy_hook(clock, counters={}, reason='no counter of the CPU packages')
    runner = clocked_runner(tmp_path, clock, [hook])
    runner.logger.addHandler(caplog.handler)
    runner.train()
    found = hook.summary()
    assert energy(found) == [None] * 5
    assert found['energy/reason'] == 'no counter of the CPU packages'
    assert 'EnergyHook: no energy: no counter of the CPU packages' in caplog.text


def test_before_a_training_it_says_so():
    found = EnergyHook().summary()
    assert energy(found) == [None] * 5
    assert found['energy/reason'] == 'nothing was trained'


@pytest.mark.parametrize(
    ('rows', 'expected'),
    [
        # Two GPUs, and the packages of their machine.
        (
            [[10.0, 4, 12.0, 6.0], [20.0, 4, 24.0, None]],
            [42.0, 36.0, 6.0, 30.0, 30.0 / 8],
        ),
        # A process whose images are not known.
        ([[10.0, None, 12.0, None]], [12.0, 12.0, None, 10.0, None]),
        # One without a counter would make the others pass for all.
        ([[10.0, 4, 12.0, None], [None, 4, None, None]], [None] * 5),
        ([], [None] * 5),
    ],
)
def test_energy_of_all_processes(rows, expected):
    assert list(total_energy(rows).values()) == expected


def test_a_meter_by_hand(clock):
    meter = EnergyMeter({'a': lambda: clock.now, 'b': lambda: 2 * clock.now})
    clock.advance(10)  # paused
    meter.resume()
    clock.advance(5)
    meter.restart()
    clock.advance(1)
    assert meter.active == 3
    meter.pause()
    clock.advance(100)
    meter.pause()
    assert meter.active == 3
    assert meter.parts() == {'a': 116, 'b': 232}


def zone(folder, name, energy_uj, range_uj=1_000_000_000):
    """A zone of Linux's power capping."""
    folder.mkdir(exist_ok=True)
    (folder / 'name').write_text(f'{name}\n')
    (folder / 'max_energy_range_uj').write_text(f'{range_uj}\n')
    (folder / 'energy_uj').write_text(f'{energy_uj}\n')


def test_packages_and_their_memory_are_counted_once(tmp_path):
    zone(tmp_path / 'intel-rapl:0', 'package-0', 3_000_000)
    zone(tmp_path / 'intel-rapl:0:0', 'core', 2_000_000)
    zone(tmp_path / 'intel-rapl:0:1', 'dram', 500_000)
    zone(tmp_path / 'intel-rapl:1', 'psys', 9_000_000)
    zone(tmp_path / 'intel-rapl:2', 'package-1', 1_000_000)
    assert package_counter(tmp_path)() == pytest.approx(4.5)


def test_a_counter_that_begins_again(tmp_path):
    zone(tmp_path / 'intel-rapl:0', 'package-0', 9_000_000, range_uj=10_000_000)
    count = package_counter(tmp_path)
    assert count() == 9
    for energy_uj, joules in ((1_000_000, 11), (4_000_000, 14), (3_000_000, 23)):
        zone(tmp_path / 'intel-rapl:0', 'package-0', energy_uj, range_uj=10_000_000)
        assert count() == joules


def test_a_machine_without_packages(tmp_path, monkeypatch):
    monkeypatch.setattr('hpml_mm.measure.energy.POWERCAP', tmp_path)
    found, reason = find_counters(torch.device('cpu'), packages=True)
    assert found == {}
    assert reason == f'no counter of the CPU packages: {tmp_path} has none'


def test_a_long_epoch_looks_at_the_counters(tmp_path, clock):
    looks = []
    hook = energy_hook(clock, {'cpu': lambda: looks.append(clock.now) or 0.0})
    hook.before_train(clocked_runner(tmp_path, clock, []))
    looks.clear()
    for seconds in (59, 2, 59, 2):
        clock.advance(seconds)
        hook.after_train_iter(None, 0)
    assert [now - 1000 for now in looks] == [61, 122]


class Nvml(types.ModuleType):
    """NVML with one GPU, which has used 7 J."""

    class NVMLError(Exception):
        pass

    def nvmlInit(self):
        if self.broken:
            raise self.NVMLError('Driver Not Loaded')

    def nvmlDeviceGetHandleByUUID(self, uuid):
        assert uuid == 'GPU-abc'
        return 'handle'

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        assert handle == 'handle'
        return 7000


@pytest.fixture
def nvml(monkeypatch, tmp_path):
    module = Nvml('pynvml')
    module.broken = False
    monkeypatch.setitem(sys.modules, 'pynvml', module)
    monkeypatch.setattr('hpml_mm.measure.energy.POWERCAP', tmp_path)
    gpu = types.SimpleNamespace(uuid='abc')
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda _: gpu)
    return module


def test_a_gpu_is_found_by_its_uuid(nvml):
    found, reason = find_counters(torch.device('cuda', 0), packages=True)
    assert {name: count() for name, count in found.items()} == {'gpu': 7.0}
    assert reason is None


def test_a_gpu_without_a_counter(nvml):
    nvml.broken = True
    found, reason = find_counters(torch.device('cuda', 0), packages=False)
    assert found == {}
    assert reason == 'no counter of the GPU: Driver Not Loaded'


def test_without_nvmls_binding_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pynvml', None)
    with pytest.raises(ImportError, match=r"pip install -e '.*\[energy\]'"):
        find_counters(torch.device('cuda', 0), packages=True)


def test_nvmls_binding_has_what_is_called():
    import pynvml

    names = [name for name in vars(Nvml) if name.startswith('nvml')]
    assert all(callable(getattr(pynvml, name)) for name in names)
    assert issubclass(pynvml.NVMLError, Exception)
