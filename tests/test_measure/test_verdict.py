# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The one line that tells what to change."""

import pytest

from hpml_mm.measure.cpu_load import CpuLoad
from hpml_mm.measure.layer_watch import LayerCall, report_layers
from hpml_mm.measure.verdict import LoaderSetup, verdict


def setup(num_workers=2, persistent_workers=True, cpus=4, on_cpu=False, amp_pays=True):
    return LoaderSetup(num_workers, persistent_workers, cpus, on_cpu, amp_pays)


def layers(precision='fp32', channels_last=False):
    return report_layers([LayerCall(1, precision, channels_last)])


def test_no_share_no_verdict():
    assert verdict(None, setup()) is None


@pytest.mark.parametrize(
    ('wait', 'workers', 'expected'),
    [
        (50.0, 0, 'num_workers=0 loads in the training process itself'),
        (50.0, 2, 'try more workers (num_workers=2, 4 CPUs)'),
        (50.0, 4, 'num_workers=4 takes all 4 CPUs already'),
    ],
)
def test_input_bound(wait, workers, expected):
    line = verdict(wait, setup(num_workers=workers))
    assert line.startswith(
        'input-bound: 50.0 % of the time waits for the loader, at most 2.00x to gain'
    )
    assert expected in line


def test_the_limit_lies_at_a_tenth():
    assert verdict(9.9, setup()).startswith('compute-bound: 9.9 %')
    assert verdict(10.0, setup()).startswith('input-bound: 10.0 %')


@pytest.mark.parametrize(
    ('measured', 'advice'),
    [
        (layers(), 'AMP, channels_last or a larger batch may help'),
        (layers('bf16'), 'channels_last or a larger batch may help'),
        (layers('tf32', True), 'AMP or a larger batch may help'),
        (layers('fp16', True), 'a larger batch may help'),
        (layers('fp16', None), 'a larger batch may help'),  # no convolution
        (report_layers([]), 'a larger batch may help'),
        (None, 'a larger batch may help'),
    ],
)
def test_compute_bound_advises_what_is_off(measured, advice):
    line = verdict(1.2, setup(), layers=measured)
    assert line == f'compute-bound: 1.2 % of the time waits for the loader; {advice}'


def test_emulated_mixed_precision_is_not_advised():
    line = verdict(1.2, setup(amp_pays=False), layers=layers(channels_last=True))
    assert line.endswith('; a larger batch may help')


def test_partly_reduced_precision_is_on():
    mixed = report_layers([LayerCall(1, 'fp32', True), LayerCall(1, 'bf16', True)])
    assert 'AMP' not in verdict(1.2, setup(), layers=mixed)


def test_fewer_workers_on_a_cpu_that_is_full():
    assert 'fewer workers' in verdict(1.2, setup(on_cpu=True))
    assert 'fewer workers' not in verdict(1.2, setup(num_workers=0, on_cpu=True))
    full, idle = CpuLoad(95, 0, 5), CpuLoad(60, 5, 35)
    assert 'fewer workers' in verdict(1.2, setup(on_cpu=True), load=full)
    assert 'fewer workers' not in verdict(1.2, setup(on_cpu=True), load=idle)


CROWDED = CpuLoad(own=50, others=43.4, idle=6.6)


def test_others_on_the_cores_take_the_place_of_advice():
    crowd = 'other processes took 43 % of the cores: measure again alone'
    line = verdict(1.2, setup(on_cpu=True), layers=layers(), load=CROWDED)
    assert line == f'compute-bound: 1.2 % of the time waits for the loader; {crowd}'
    assert verdict(50, setup(), load=CROWDED).endswith(f'2.00x to gain; {crowd}')
    assert verdict(1, setup(), first_batch=40, load=CROWDED).endswith(f'; {crowd}')
    assert verdict(1, setup(), device_idle=30, load=CROWDED).endswith(f'; {crowd}')


def test_others_do_not_matter_to_a_busy_gpu_or_where_cores_are_left():
    assert verdict(1, setup(), device_idle=0, load=CROWDED).endswith('may help')
    for load in (CpuLoad(own=30, others=43, idle=27), CpuLoad(90.5, 9.5, 0)):
        assert 'other processes' not in verdict(50, setup(), load=load)


def test_a_quota_that_is_used_up():
    load = CpuLoad(own=50, others=0, idle=50, throttled=31.0)
    line = verdict(1.2, setup(on_cpu=True), load=load)
    assert 'the CPU quota was used up in 31 % of its periods' in line
    assert 'more workers' not in verdict(50, setup(), load=load)
    seldom = CpuLoad(own=50, others=0, idle=50, throttled=3.0)
    assert 'quota' not in verdict(1.2, setup(on_cpu=True), load=seldom)


def test_slow_starts_are_input_bound_too():
    line = verdict(1.0, setup(persistent_workers=False), first_batch=40.0)
    assert line.startswith('input-bound: 40.0 % of the time waits for first batches')
    assert 'persistent_workers=True' in line
    assert 'fewer workers' in verdict(1.0, setup(), first_batch=40.0)
    assert 'cache' in verdict(1.0, setup(num_workers=0), first_batch=40.0)


def test_idle_device_without_waits_is_the_host():
    line = verdict(1.0, setup(), first_batch=0.0, device_idle=30.0)
    assert line.startswith('compute-bound: 1.0 %')
    assert 'device idles 30.0 % between steps' in line


def test_everything_waits():
    assert 'everything to gain' in verdict(100.0, setup())
