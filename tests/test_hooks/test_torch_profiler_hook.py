# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv
import gzip
import json
import logging

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_runs import for_testing, for_validation, loader, toy_runner

from hpml_mm.engine.profiling import CSV_COLUMNS
from hpml_mm.registry import HOOKS

HOOK = {'type': 'hpml_mm.TorchProfilerHook', 'wait': 1, 'warmup': 1, 'active': 2}
CHECKPOINTS = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}


def files(work_dir) -> list[str]:
    return sorted(path.name for path in (work_dir / 'profile').glob('*'))


def traces(work_dir) -> list[str]:
    suffix = '.trace.json.gz'
    return [n.removesuffix(suffix) for n in files(work_dir) if n.endswith(suffix)]


def trace_events(work_dir, name) -> list[dict]:
    with gzip.open(work_dir / 'profile' / f'{name}.trace.json.gz', 'rt') as file:
        return json.load(file)['traceEvents']


def recorded_steps(work_dir, name) -> list[str]:
    events = trace_events(work_dir, name)
    names = {e['name'] for e in events if str(e.get('name')).startswith('ProfilerStep')}
    return sorted(names)


def profiler_is_off() -> bool:
    with torch.profiler.profile() as profile:  # raises while another one is open
        torch.ones(1)
    return profile is not None


def warnings_of(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if 'recorded' in r.getMessage()]


@pytest.fixture
def log(caplog):
    """Records of MMEngine's loggers, which do not propagate to the root."""
    caplog.set_level(logging.INFO)
    return caplog


def run(runner, caplog, method='train'):
    runner.logger.addHandler(caplog.handler)
    try:
        return getattr(runner, method)()
    finally:
        runner.logger.removeHandler(caplog.handler)


def test_a_window_of_training_writes_trace_tables_and_picture(tmp_path, log):
    runner = toy_runner(tmp_path, [HOOK])
    run(runner, log)
    name = 'rank0_train_iter3'
    assert files(tmp_path) == [f'{name}.csv', f'{name}.trace.json.gz']
    assert recorded_steps(tmp_path, name) == ['ProfilerStep#2', 'ProfilerStep#3']
    names = {event['name'] for event in trace_events(tmp_path, name)}
    assert any('convolution_backward' in name for name in names)

    with (tmp_path / 'profile' / f'{name}.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    convolutions = [row for row in rows if row['operator'] == 'aten::conv2d']
    assert [row['calls'] for row in convolutions] == ['2']
    shares = [float(row['device_time_share(%)']) for row in rows]
    assert sum(shares) == pytest.approx(100)
    assert shares == sorted(shares, reverse=True)
    held = [s for s, row in zip(shares, rows, strict=True) if 'conv' in row['operator']]
    hook = next(h for h in runner.hooks if type(h).__name__ == 'TorchProfilerHook')
    found = hook.summary()
    assert found == {'profile/train/convolutions(%)': pytest.approx(sum(held))}

    tables = [r.getMessage() for r in log.records if 'Profile of' in r.getMessage()]
    assert len(tables) == 1
    assert '| self device time (ms) |' in tables[0]
    assert '| self memory (MiB) |' in tables[0]
    assert not warnings_of(log)

    board = EventAccumulator(runner.work_dir).Reload()
    (picture,) = board.Images('pictures/profile/train')
    assert picture.step == 3
    assert picture.width > 300
    (text,) = board.Tensors('profile/train/text_summary')
    assert text.step == 3
    assert b'| operator' in text.tensor_proto.string_val[0]
    assert b'aten::' in text.tensor_proto.string_val[0]
    assert b'(https://ui.perfetto.dev)' in text.tensor_proto.string_val[0]
    trace = tmp_path / 'profile' / f'{name}.trace.json.gz'
    assert f'`{trace}`'.encode() in text.tensor_proto.string_val[0]


def test_the_window_starts_right_after_a_resume(tmp_path):
    toy_runner(tmp_path, default_hooks=CHECKPOINTS).train()
    resumed = toy_runner(
        tmp_path,
        [HOOK],
        default_hooks=CHECKPOINTS,
        train_cfg={'by_epoch': True, 'max_epochs': 3},
        resume=True,
    )
    resumed.train()
    assert traces(tmp_path) == ['rank0_train_iter7']


def test_an_iteration_based_loop_and_its_validation(tmp_path):
    runner = toy_runner(
        tmp_path,
        [{**HOOK, 'mode': 'both'}],
        train_dataloader=loader(type='InfiniteSampler'),
        train_cfg={'by_epoch': False, 'max_iters': 6, 'val_interval': 6},
        log_processor={'by_epoch': False},
        **for_validation(),
    )
    runner.train()
    assert traces(tmp_path) == ['rank0_train_iter3', 'rank0_val_iter6']
    assert recorded_steps(tmp_path, 'rank0_val_iter6') == [
        'ProfilerStep#2',
        'ProfilerStep#3',
    ]
    names = {event['name'] for event in trace_events(tmp_path, 'rank0_val_iter6')}
    assert 'aten::conv2d' in names
    assert not any('backward' in name for name in names)


def test_validation_stays_out_of_a_window_of_training(tmp_path, log):
    runner = toy_runner(
        tmp_path,
        [{**HOOK, 'active': 9}],
        train_cfg={'by_epoch': True, 'max_epochs': 2, 'val_interval': 1},
        **for_validation(),
    )
    run(runner, log)
    assert recorded_steps(tmp_path, 'rank0_train_iter3')[:2] == [
        'ProfilerStep#2',
        'ProfilerStep#3',
    ]
    names = [event['name'] for event in trace_events(tmp_path, 'rank0_train_iter3')]
    assert names.count('aten::conv2d') == 2
    (message,) = warnings_of(log)
    assert 'recorded 2 of 9 train iterations: it needs 11 in a row' in message


def test_a_window_that_validation_interrupts_too_early_starts_again(tmp_path, log):
    runner = toy_runner(
        tmp_path,
        [HOOK],
        train_dataloader=loader(type='InfiniteSampler'),
        train_cfg={
            'by_epoch': False,
            'max_iters': 8,
            'val_interval': 2,
            'dynamic_intervals': [(4, 8)],
        },
        log_processor={'by_epoch': False},
        **for_validation(),
    )
    run(runner, log)
    assert traces(tmp_path) == ['rank0_train_iter5']
    assert not warnings_of(log)


def test_too_short_a_run_is_said_once(tmp_path, log):
    run(toy_runner(tmp_path, [{**HOOK, 'wait': 3}]), log)
    (message,) = warnings_of(log)
    assert 'recorded 0 of 2 train iterations' in message
    assert 'wait 3, warmup 1, active 2' in message
    assert files(tmp_path) == []
    assert profiler_is_off()


def test_an_error_in_a_step_leaves_a_partial_trace(tmp_path, log):
    runner = toy_runner(tmp_path, [HOOK])
    runner.model.fail_at = 4
    with pytest.raises(RuntimeError, match='toy failure'):
        run(runner, log)
    assert recorded_steps(tmp_path, 'rank0_train_iter3')[0] == 'ProfilerStep#2'
    (message,) = warnings_of(log)
    assert 'recorded 1 of 2 train iterations' in message
    assert profiler_is_off()
    board = EventAccumulator(runner.work_dir).Reload()
    assert board.Images('pictures/profile/train')


def test_an_error_before_the_first_recorded_step_leaves_nothing(tmp_path):
    runner = toy_runner(tmp_path, [HOOK])
    runner.model.fail_at = 3
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    assert files(tmp_path) == []
    assert profiler_is_off()


def test_a_test_run_is_profiled_in_mode_val(tmp_path):
    runner = toy_runner(tmp_path, [{**HOOK, 'mode': 'val'}], **for_testing())
    runner.test()
    assert traces(tmp_path) == ['rank0_test_iter0']


def test_after_the_window_no_step_is_marked_any_more(tmp_path):
    runner = toy_runner(tmp_path, [{**HOOK, 'wait': 0, 'active': 1}])
    runner.train()
    with torch.profiler.profile() as profile:
        runner.train_loop._iter = runner.train_loop._epoch = 0
        runner.train_loop.run_iter(0, next(iter(runner.train_dataloader)))
    assert not [e for e in profile.key_averages() if 'ProfilerStep' in e.key]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'active': 0}, 'active=0.*at least 1'),
        ({'wait': -1}, 'wait=-1.*at least 0'),
        ({'mode': 'test'}, "mode is 'test', use one of train, val, both"),
    ],
)
def test_impossible_arguments_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build({**HOOK, **arguments})


@pytest.mark.parametrize('ranks', [(0,), (0, 1)])
def test_only_the_chosen_ranks_profile(tmp_path, ranks):
    runner = toy_runner(tmp_path, [{**HOOK, 'wait': 0, 'active': 1, 'ranks': ranks}])
    runner._rank = 1
    runner.train()
    assert traces(tmp_path) == ['rank1_train_iter2'] * (1 in ranks)
