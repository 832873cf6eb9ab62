# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The one line that tells what to change."""

import pytest

from hpml_mm.measure.verdict import LoaderSetup, verdict


def setup(num_workers=2, persistent_workers=True, cpus=4, on_cpu=False):
    return LoaderSetup(num_workers, persistent_workers, cpus, on_cpu)


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


def test_compute_bound():
    line = verdict(1.2, setup())
    assert line == (
        'compute-bound: 1.2 % of the time waits for the loader; AMP, '
        'channels_last or a larger batch may help, if not in use'
    )
    assert 'fewer workers' in verdict(1.2, setup(on_cpu=True))
    assert 'fewer workers' not in verdict(1.2, setup(num_workers=0, on_cpu=True))


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
