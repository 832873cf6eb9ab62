# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config for predictors trains, and is what its file name says."""

import json
from pathlib import Path

import numpy as np
import pytest
from hpml_mm.predictor.spaces.catalogue import get_space
from leaves import AIOP_LEAVES, CONFIGS, common_variants, kind, load
from mmengine.registry import MODELS, DefaultScope
from predictor_runs import DATASET_OF, save_caches, train_leaf

from hpml_mm.config.names import parse_leaf_name
from hpml_mm.predictor.checkpoint_predictor import checkpoint_predictor
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.fit import predict
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.training_range import TrainingRange

every_leaf = pytest.mark.parametrize('leaf', AIOP_LEAVES)
MODEL_OF = {
    ('GraphRegressor', 'GraphConvEncoder'): 'aiop-gnn',
    ('GraphRegressor', 'ResidualEncoder'): 'residual-gnn',
}
# What is not named.
DEFAULT_LR = {'aiop-gnn': 1e-4, 'residual-gnn': 1e-3}
DEFAULT_SCALING = {'aiop-gnn': 'none', 'residual-gnn': 'stand'}
PARAMETERS = {'aiop-gnn': 18_047, 'residual-gnn': 102_721}


def model_name(cfg):
    return MODEL_OF[kind(cfg.model), kind(cfg.model.encoder)]


def space_name(cfg):
    return Path(cfg.train_dataloader.dataset.cache).stem


def variants(cfg):
    name, lr = model_name(cfg), cfg.optim_wrapper.optimizer.lr
    scaling = cfg.model.scaling
    found = {
        **common_variants(cfg),
        'optimizer': None if cfg.optim_wrapper.optimizer.type == 'Adam' else '?',
        'lr': None if lr == DEFAULT_LR[name] else f'lr{lr:g}',
        'scaling': None if scaling == DEFAULT_SCALING[name] else scaling,
    }
    return {k: v.replace('_', '-').replace('+', '-') for k, v in found.items() if v}


@every_leaf
def test_name_tells_the_truth(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    data = cfg.train_dataloader.dataset
    assert model_name(cfg) == name.model
    assert DATASET_OF[space_name(cfg), data.metric] == name.dataset
    assert (get_space(space_name(cfg)).resolution,) * 2 == name.size
    assert cfg.train_dataloader.batch_size == name.batch_size
    assert cfg.auto_scale_lr.base_batch_size == name.gpus * name.batch_size
    assert cfg.train_cfg.max_epochs == name.epochs
    assert variants(cfg) == name.variants


@every_leaf
def test_loaders_belong_together(leaf):
    cfg = load(leaf)
    modes = {mode: cfg[f'{mode}_dataloader'] for mode in ('train', 'val', 'test')}
    assert modes['train'].dataset.part == 'train'
    assert modes['test'].dataset.part == 'test'
    # The best epoch is chosen by networks that nothing is reported on.
    assert cfg.default_hooks.checkpoint.save_best
    assert modes['val'].dataset.part == 'dev'
    settings = [dict(loader.dataset, part=None) for loader in modes.values()]
    assert settings[0] == settings[1] == settings[2]
    folds = cfg.model.encoder.type == 'hpml_mm.ResidualEncoder'
    assert settings[0].get('fold', False) == folds
    assert not any(modes[mode].sampler.shuffle for mode in ('val', 'test'))


@every_leaf
def test_model_builds(leaf):
    with DefaultScope.overwrite_default_scope('mmengine'):
        model = MODELS.build(load(leaf).model.to_dict())
    count = sum(p.numel() for p in model.parameters())
    assert count == PARAMETERS[model_name(load(leaf))]


@pytest.fixture
def graphs(tmp_path, monkeypatch):
    monkeypatch.setenv('HPML_MM_GRAPHS', str(tmp_path / 'graphs'))
    save_caches(tmp_path / 'graphs')
    return tmp_path


def summary(work_dir):
    return json.loads((work_dir / 'summary.json').read_text())


@every_leaf
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
