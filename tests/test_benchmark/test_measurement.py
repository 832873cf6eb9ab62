# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpml_mm.benchmark import measurement
from hpml_mm.benchmark.jobs import Side
from hpml_mm.benchmark.measurement import SettingBench, axes_of, failed_measurement
from hpml_mm.benchmark.process import Plan, SideFailedError, SideResult
from hpml_mm.benchmark.session import Lap
from hpml_mm.benchmark.tune import Measurement, Setting
from hpml_mm.config.overrides import load_config

LEAF = 'fer/mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
CONFIG = Path(__file__).parents[2] / 'configs' / LEAF
SETTING = Setting(True, 'fp32', False, 256, 0)
CPU = torch.device('cpu')


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Tries a setting with the laps or the error of a made process."""

    def run(outcome, limit=None):
        def measure(jobs, plan, directory, log):
            (job,) = jobs
            assert (job.mode, job.loop) == ('train', True)
            loader = load_config(job.side.config).train_dataloader
            assert (loader.batch_size, loader.num_workers) == (256, 0)
            if isinstance(outcome, Exception):
                raise outcome
            return [SideResult(Side('x', 'config', 'x.py'), {}, outcome)]

        monkeypatch.setattr(measurement, 'measure', measure)
        cfg = load_config(str(CONFIG))
        bench = SettingBench(tmp_path, cfg, str(CONFIG), Plan(3, 1.0), limit)
        return bench.measure(SETTING)

    return run


LAPS = [Lap(s, 5, 300, memory=m) for s, m in ((1.0, 2.0), (3.0, 2.5), (2.0, None))]


def test_a_setting_has_the_median_speed_and_the_most_memory(measured):
    assert measured(LAPS) == Measurement(SETTING, speed=150, iqr=100, memory=2.5)


def test_a_setting_over_the_limit_cannot_be_used(measured):
    found = measured(LAPS, limit=2.4)
    assert found.problem == 'over the limit of 2.4 GiB'
    assert found.of_memory


def test_a_side_that_fails_is_a_setting_with_a_problem(measured):
    found = measured(SideFailedError('x', 2, 'note\nerror: unknown key'))
    assert found == Measurement(SETTING, problem='refused: unknown key')


def test_two_settings_take_turns(tmp_path, monkeypatch):
    def measure(jobs, plan, directory, log):
        assert plan == Plan(5, 1.0)
        loaders = [load_config(job.side.config).train_dataloader for job in jobs]
        assert [loader.num_workers for loader in loaders] == [0, 2]
        assert len({job.work_dir for job in jobs}) == 2
        return [
            SideResult(job.side, {}, [Lap(seconds, 1, 300)])
            for job, seconds in zip(jobs, (1.0, 2.0), strict=True)
        ]

    bench = SettingBench(
        tmp_path, load_config(str(CONFIG)), str(CONFIG), Plan(3, 1.0), None
    )
    other = replace(SETTING, workers=2)
    monkeypatch.setattr(measurement, 'measure', measure)
    assert bench.compare(SETTING, other) == ([300], [150])

    def fail(*args, **kwargs):
        raise SideFailedError('x', 1, 'CUDA out of memory')

    monkeypatch.setattr(measurement, 'measure', fail)
    assert bench.compare(SETTING, other) == ([], [])


@pytest.mark.parametrize(
    ('code', 'log'),
    [
        (1, 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'),
        (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried"),
        (-signal.SIGKILL, 'Epoch 1'),
    ],
)
def test_a_lack_of_memory_is_told_apart(code, log):
    found = failed_measurement(SETTING, SideFailedError('x', code, log))
    assert (found.problem, found.of_memory) == ('out of memory', True)


def test_what_is_tried_fits_config_and_machine(monkeypatch):
    monkeypatch.setattr(measurement, 'usable_cpus', lambda: 4)
    cfg = load_config(str(CONFIG))
    assert axes_of(cfg, CPU) == {
        'channels_last': [False, True],
        'precision': ['fp32', 'bfloat16'],
        'compile': [False, True],
        'batch_size': [64, 128, 256, 512],
        'workers': [0, 1, 2, 4],
    }
    told = axes_of(cfg, CPU, batch_sizes=[32, 16], workers=[3])
    assert (told['batch_size'], told['workers']) == ([16, 32], [3])
    # Faces in one array are loaded without workers.
    cfg.train_dataloader.dataset.type = 'hpml_mm.FaceArrayDataset'
    cfg.train_dataloader.num_workers = 0
    assert axes_of(cfg, CPU)['workers'] == [0]


def test_a_measurement_is_a_line():
    found = Measurement(SETTING, speed=1234.0, iqr=5.0, memory=1.5)
    setting = 'channels-last fp32 batch 256 workers 0'
    assert str(found) == f'{setting}: 1234 images/s, IQR 5, 1.50 GiB'
    assert str(Measurement(SETTING, problem='refused')) == f'{setting}: refused'
    assert str(Measurement(SETTING, speed=2.0)) == f'{setting}: 2 images/s'
