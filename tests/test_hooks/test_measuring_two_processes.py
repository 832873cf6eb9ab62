# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The measuring hooks in two processes that are unequally fast."""

import json

import pytest
from clocked_runs import ClockedImages, ClockedNet, clocked_runner, shown
from fake_clock import FakeClock
from mmengine.model import MMDistributedDataParallel
from torch.utils.data import DataLoader
from two_ranks import on_two_ranks

from hpml_mm.engine.hooks import DataLoadRatioHook, SummaryHook, ThroughputHook

pytestmark = pytest.mark.slow


def train(rank, folder):
    """One of the two; the second loads slowly, and half as large batches."""
    clock = FakeClock()
    batch, seconds = ((4, 0.02), (2, 0.14))[rank]
    images = ClockedImages(clock, batches=10, seconds=seconds)
    loader = DataLoader(images, batch_size=batch, sampler=range(5 * batch))
    hooks = [
        ThroughputHook(warmup_iters=1, interval=5),
        DataLoadRatioHook(interval=5),
        SummaryHook(),
    ]
    for hook in hooks:
        hook.clock = clock
    runner = clocked_runner(
        folder,
        clock,
        hooks,
        length=2,
        train_dataloader=loader,
        model=MMDistributedDataParallel(ClockedNet(clock)),
        experiment_name='two',
    )
    runner.train()
    results = {
        'measured': {**hooks[0].summary(), **hooks[1].summary()},
        'all': shown(runner, 'throughput/all(img/s)'),
    }
    (folder / f'rank{rank}.json').write_text(json.dumps(results))


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp('two')
    on_two_ranks(train, directory)
    return directory


def results(work_dir, rank):
    return json.loads((work_dir / f'rank{rank}.json').read_text())


def test_throughput_per_process_and_over_all(work_dir):
    """Steps of .2 s with 4 images here, of .4 s with 2 images there."""
    first, second = results(work_dir, 0), results(work_dir, 1)
    assert first['measured']['throughput(img/s)'] == pytest.approx(20)
    assert second['measured']['throughput(img/s)'] == pytest.approx(5)
    # Six images in each of the slower one's .4 s.
    for result in (first, second):
        assert result['measured']['throughput/all(img/s)'] == pytest.approx(15)
        assert result['all'] == pytest.approx([15, 15])


def test_the_slower_loader_decides(work_dir):
    for rank in (0, 1):
        measured = results(work_dir, rank)['measured']
        assert measured['data_wait(%)'] == pytest.approx(70)
        assert measured['data_wait/first_batch(s)'] == pytest.approx(0.28)
        assert measured['verdict'].startswith('input-bound: 70.0 %')


def test_a_step_is_counted_behind_the_distributed_wrapper(work_dir):
    # Forward and the weight's gradient of an 8 x 3 layer, 4 and 2 images.
    assert results(work_dir, 0)['measured']['step(GMACs)'] == 192e-9
    assert results(work_dir, 1)['measured']['step(GMACs)'] == 96e-9


def test_one_summary_is_written(work_dir):
    summary = json.loads((work_dir / 'summary.json').read_text())
    assert summary['environment']['processes'] == 2
    assert summary['measurements']['throughput/all(img/s)'] == pytest.approx(15)
    assert summary['measurements']['throughput(img/s)'] == pytest.approx(20)
    assert not list(work_dir.glob('*.tmp'))
