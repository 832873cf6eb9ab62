# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import io
import signal
from pathlib import Path

import pytest
import torch
from rich.console import Console

from hpml_mm.benchmark import trial as trial_module
from hpml_mm.benchmark.jobs import Side
from hpml_mm.benchmark.process import Measured, SideFailedError
from hpml_mm.benchmark.session import Lap
from hpml_mm.benchmark.trial import attempt_in, axes_of, failed, print_trials
from hpml_mm.benchmark.tune import Setting, Trial
from hpml_mm.config.overrides import load_config

LEAF = 'fer/mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
CONFIG = Path(__file__).parents[2] / 'configs' / LEAF
SETTING = Setting(True, 'fp32', False, 256, 0)
CPU = torch.device('cpu')


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Tries a setting with the laps or the error of a made process."""

    def run(outcome, limit=None):
        def measure(jobs, plan, directory, tell):
            (job,) = jobs
            assert (job.mode, job.loop) == ('train', True)
            loader = load_config(job.side.config).train_dataloader
            assert (loader.batch_size, loader.num_workers) == (256, 0)
            if isinstance(outcome, Exception):
                raise outcome
            return [Measured(Side('x', 'config', 'x.py'), {}, outcome)]

        monkeypatch.setattr(trial_module, 'measure', measure)
        cfg = load_config(str(CONFIG))
        return attempt_in(tmp_path, cfg, str(CONFIG), 3, 1.0, limit)(SETTING)

    return run


LAPS = [Lap(s, 5, 300, memory=m) for s, m in ((1.0, 2.0), (3.0, 2.5), (2.0, None))]


def test_a_trial_has_the_median_speed_and_the_most_memory(attempt):
    assert attempt(LAPS) == Trial(SETTING, speed=150, iqr=100, memory=2.5)


def test_a_trial_over_the_limit_cannot_be_used(attempt):
    found = attempt(LAPS, limit=2.4)
    assert found.problem == 'over the limit of 2.4 GiB'
    assert not found.usable


def test_a_side_that_fails_is_a_trial_with_a_problem(attempt):
    found = attempt(SideFailedError('x', 2, 'note\nerror: unknown key'))
    assert found == Trial(SETTING, problem='refused: unknown key')


@pytest.mark.parametrize(
    ('code', 'log'),
    [
        (1, 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'),
        (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried"),
        (-signal.SIGKILL, 'Epoch 1'),
    ],
)
def test_a_lack_of_memory_is_told_apart(code, log):
    found = failed(SETTING, SideFailedError('x', code, log))
    assert (found.problem, found.of_memory) == ('out of memory', True)


def test_what_is_tried_fits_config_and_machine(monkeypatch):
    monkeypatch.setattr(trial_module, 'usable_cpus', lambda: 4)
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


def test_faces_in_one_array_have_no_workers_to_try():
    cfg = load_config(str(CONFIG))
    cfg.train_dataloader.dataset.type = 'hpml_mm.FaceArrayDataset'
    cfg.train_dataloader.num_workers = 0
    assert axes_of(cfg, CPU)['workers'] == [0]


def test_the_table_marks_the_best_and_explains_what_failed():
    best = Trial(SETTING, speed=1234.0, iqr=5.0, memory=1.5)
    refused = Trial(SETTING, problem='refused: unknown key [compile]')
    text = io.StringIO()
    print_trials([refused, best], best, Console(file=text, width=80))
    lines = [line.split() for line in text.getvalue().splitlines()]
    words = ['channels-last', 'fp32', 'no', '256', '0']
    assert ['(1)', *words, '-', '-', '-'] in lines
    assert ['*', *words, '1234', '5', '1.50'] in lines
    assert text.getvalue().endswith('(1) refused: unknown key [compile]\n')
