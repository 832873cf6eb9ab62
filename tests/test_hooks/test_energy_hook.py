# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Energy of trainings, by counters that follow a fake clock."""

import sys

import pytest
import torch
from clocked_runs import clocked_runner

from hpml_mm.engine.hooks import EnergyHook
from hpml_mm.engine.hooks.energy_hook import total_energy
from hpml_mm.measure.energy import EnergyMeter, find_counters

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


class Counters:
    """As zeus has them, in millijoules."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def get_total_energy_consumption(self, index):
        return self.numbers[index]


class Package:
    def __init__(self, cpu_mj, dram_mj):
        self.cpu_mj, self.dram_mj = cpu_mj, dram_mj


def test_counters_of_zeus(monkeypatch):
    import zeus.device

    packages = Counters(Package(1000, 200), Package(3000, None))
    monkeypatch.setattr(zeus.device, 'get_gpus', lambda: Counters(5000, 7000))
    monkeypatch.setattr(zeus.device, 'get_cpus', lambda: packages)
    found, reason = find_counters(torch.device('cuda', 1), packages=True)
    assert {name: count() for name, count in found.items()} == {'gpu': 7.0, 'cpu': 4.2}
    assert reason is None
    found, _ = find_counters(torch.device('cuda', 1), packages=False)
    assert set(found) == {'gpu'}


def test_a_machine_without_counters(monkeypatch):
    import zeus.device
    from zeus.device.cpu.common import ZeusCPUInitError
    from zeus.device.gpu.common import ZeusGPUInitError

    def fails(error):
        raise error

    gpu, cpu = ZeusGPUInitError('no NVML'), ZeusCPUInitError('no RAPL')
    monkeypatch.setattr(zeus.device, 'get_gpus', lambda: fails(gpu))
    monkeypatch.setattr(zeus.device, 'get_cpus', lambda: fails(cpu))
    found, reason = find_counters(torch.device('cuda', 0), packages=True)
    assert found == {}
    assert 'no NVML' in reason
    assert 'no RAPL' in reason


def test_without_zeus_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'zeus.device', None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[energy\]'"):
        find_counters(torch.device('cpu'), packages=True)
