# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's networks over tasks: what each method trains, keeps and looks at."""

import sys

import numpy as np
import pytest
import torch
from predictor_toys import macro_cache, toy_cache

from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.data.bench import Bench
from projects.aiop.tasks import protocol
from projects.aiop.tasks.graphs import task_benches
from projects.aiop.tasks.methods import Target
from projects.aiop.tasks.network_study import main
from projects.aiop.tasks.networks import NETWORKS, Budget, Study
from projects.aiop.tasks.protocol import Published, Split


@pytest.fixture
def study(tmp_path):
    """Three tasks of 16 toy networks."""
    cache = toy_cache().select(range(16))
    benches = [Bench('toy', cache, 'toy/top1(%)') for _ in range(3)]
    return Study(benches, benches[0], tmp_path, Budget(1, 1, 1))


@pytest.fixture
def split():
    order = np.random.default_rng(0).permutation(16)
    return Split(order[:4], order[4:12], order[12:], np.full(4, True))


def target(name):
    return Target(0, 4, (1, 2) if NETWORKS[name].adapters else ())


@pytest.mark.parametrize('name', NETWORKS)
def test_each_method_predicts_the_rest_and_keeps_its_parts(study, split, name):
    found = NETWORKS[name].predict(study, split, target(name))
    assert found.shape == (4,)
    assert np.isfinite(found).all()
    kept = {path.name: path.stat().st_mtime_ns for path in study.folder.iterdir()}
    assert len(kept) == 1 + len(target(name).others)
    again = NETWORKS[name].predict(study, split, target(name))
    assert np.array_equal(found, again)
    assert kept == {p.name: p.stat().st_mtime_ns for p in study.folder.iterdir()}


def test_other_labels_than_the_known_ones_have_no_influence(study, split):
    name = 'tuned-aiop'
    before = NETWORKS[name].predict(study, split, target(name))
    wrong = study.benches[0]
    wrong.labels = wrong.labels.copy()
    # Neither the test networks' nor the other networks' labels of the target.
    wrong.labels[[*split.test, *split.sources]] = 0
    after = NETWORKS[name].predict(study, split, target(name))
    assert np.array_equal(before, after)


def test_an_adapter_is_trained_on_the_networks_of_other_tasks(study, split):
    model = study.adapted([1], 'stand', split)
    labels = study.benches[1].labels[split.sources] / 100
    torch.testing.assert_close(model.task_scalers[0].mean.item(), labels.mean())


def _short_tables(source, target, space, count):
    """Write the first networks of both tables."""
    for name in ('7tasks', 'zero_cost'):
        file = f'tnb101_{space}_{name}.csv'
        head, *lines = (source / file).read_text().splitlines()
        if name == '7tasks':
            archs = [line.partition(',')[0] for line in lines[:count]]
        kept = [line for line in lines if line.partition(',')[0] in archs]
        (target / file).write_text('\n'.join([head, *kept, '']))


@pytest.mark.real_data
def test_networks_of_a_table_have_the_decoder_of_each_task(real_data, tmp_path):
    _short_tables(real_data / 'nas', tmp_path, 'macro', 3)
    published = Published.read(tmp_path, 'macro')
    benches = task_benches(published, tmp_path)
    assert [len(bench) for bench in benches] == [3] * 7
    macs = {bench.metric.partition('/')[0]: int(bench.macs[0]) for bench in benches}
    assert macs['normal'] == macs['autoencoder'] > macs['segmentsemantic']
    assert macs['segmentsemantic'] > macs['class_object'] > macs['class_scene']
    layout = benches[published.table.task('room_layout')]
    assert layout.labels.tolist() == published.table.scores[:, 2].tolist()
    assert layout.labels.max() < 0


@pytest.mark.slow
@pytest.mark.real_data
def test_the_command_writes_rows_that_stand_beside_the_others(
    real_data, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(protocol, 'LABELLED', 20)
    monkeypatch.setattr(protocol, 'SOURCES', 8)
    _short_tables(real_data / 'nas', tmp_path, 'micro', 40)
    macro_cache(24).save(tmp_path / 'source.safetensors')
    command = [
        *('network_study', 'micro', '--tables', str(tmp_path)),
        *('--source', 'source.safetensors', '--methods', 'zero-gnn', 'zero-aiop'),
        *('--draws', '1', '2', '--pairs', '1', '--base-epochs', '1'),
        *('--adapter-epochs', '1', '--rows', 'rows.csv'),
    ]
    monkeypatch.setattr(sys, 'argv', command)
    main()
    rows = read_results(tmp_path / 'rows.csv')
    names = {row.experiment for row in rows}
    assert 'predictor-tasks/micro-20-networks/zero-aiop' in names
    assert 'predictor-tasks/micro-20-networks/normal/ssim/zero-gnn' in names
    assert {row.n for row in rows} == {2}
    assert 'micro-20-networks/zero-aiop | 2 |' in capsys.readouterr().out
