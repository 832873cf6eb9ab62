# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs for predictors train."""

import json
from pathlib import Path

import numpy as np
import pytest
from leaves import AIOP_LEAVES, CONFIGS, load, network_word
from mmengine.registry import MODELS, DefaultScope
from predictor_runs import save_caches, train_leaf

from hpml_mm.predictor.checkpoint_predictor import checkpoint_predictor
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.fit import predict
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.training_range import TrainingRange

PARAMETERS = {'aiop-gnn': 18_047, 'residual-gnn': 102_721}
# Each network, each scale of the labels, each space.
TRAINED = [
    'aiop/aiop-gnn_1xb32-40e_nas-bench-201-cifar10-32px.py',
    'aiop/aiop-gnn_1xb32-stand-flops-40e_ofa-mbv3-imagenet-224px.py',
    'aiop/residual-gnn_1xb32-40e_nas-bench-macro-cifar10-32px.py',
]


def test_loaders_belong_together():
    for leaf in AIOP_LEAVES:
        cfg = load(leaf)
        modes = {mode: cfg[f'{mode}_dataloader'] for mode in ('train', 'val', 'test')}
        assert modes['train'].dataset.part == 'train', leaf
        assert modes['test'].dataset.part == 'test', leaf
        # The best epoch is chosen by networks that nothing is reported on.
        assert cfg.default_hooks.checkpoint.save_best, leaf
        assert modes['val'].dataset.part == 'dev', leaf
        settings = [dict(loader.dataset, part=None) for loader in modes.values()]
        assert settings[0] == settings[1] == settings[2], leaf
        folds = cfg.model.encoder.type == 'hpml_mm.ResidualEncoder'
        assert settings[0].get('fold', False) == folds, leaf
        assert not any(modes[mode].sampler.shuffle for mode in ('val', 'test')), leaf


def test_models_build():
    for leaf in AIOP_LEAVES:
        with DefaultScope.overwrite_default_scope('mmengine'):
            model = MODELS.build(load(leaf).model.to_dict())
        count = sum(p.numel() for p in model.parameters())
        assert count == PARAMETERS[network_word(CONFIGS / leaf)], leaf


@pytest.fixture
def graphs(tmp_path, monkeypatch):
    monkeypatch.setenv('HPML_MM_GRAPHS', str(tmp_path / 'graphs'))
    save_caches(tmp_path / 'graphs')
    return tmp_path


def summary(work_dir):
    return json.loads((work_dir / 'summary.json').read_text())


@pytest.mark.slow
@pytest.mark.parametrize('leaf', TRAINED)
def test_a_leaf_trains_with_all_hooks(leaf, graphs):
    work_dir, runner = train_leaf(CONFIGS / leaf, graphs)
    found = summary(work_dir)
    assert found['status'] == 'finished'
    assert found['metrics']['mae(points)'] > 0
    assert found['best']
    assert 'throughput(img/s)' in found['measurements']
    assert list(work_dir.rglob('events.out.tfevents.*'))
    scaler = runner.model.scaler
    if scaler.scaling == 'stand':
        labels = runner.train_dataloader.dataset.labels / 100
        assert scaler.mean.item() == pytest.approx(labels.mean())
        assert scaler.std.item() == pytest.approx(labels.std())
    check_checkpoint(runner, work_dir)


def check_checkpoint(runner, work_dir):
    """A run's checkpoint becomes a predictor that predicts as the run's model."""
    known, dev, rest = (
        loader.dataset
        for loader in (runner.train_dataloader, runner.val_loop.dataloader)
        + (runner.build_dataloader(runner.cfg.test_dataloader),)
    )
    (config,) = work_dir.glob('*.py')
    cache = Path(runner.cfg.test_dataloader.dataset.cache)
    predictor = checkpoint_predictor(cache, config, work_dir / 'epoch_2.pth')
    assert predictor.card.networks == len(known) + len(dev)
    graphs = GraphSet(GraphCache.load(cache))
    rows = known.indices
    expected = TrainingRange.of(graphs.statistics.take(rows), graphs.sizes[rows])
    np.testing.assert_allclose(predictor.range.high, expected.high, rtol=1e-6)
    assert predictor.card.rest == len(rest)
    found = predictor.score(graphs, rest.indices)
    expected = predict(runner.model, rest.table, rest.indices)
    assert found.scores == pytest.approx(expected.clip(0, 100))
