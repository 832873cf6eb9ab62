# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs for predictors train."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from aiop_leaves import DATASET_OF
from leaves import AIOP_LEAVES, CONFIGS, load, network_word
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from predictor_toys import SIZES, branched_graph, toy_label

from hpml_mm.predictor.bounds import Bounds
from hpml_mm.predictor.checkpoint_predictor import checkpoint_predictor
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.fit import predict
from hpml_mm.predictor.graphs.cached.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.runner import build_runner

# Parameters that learn, by model and task; of the target two heads and six layers.
LEARNING = {
    ('aiop-gnn', None): 18_047,
    ('residual-gnn', None): 102_721,
    ('aiop-adapters', 'cifar100'): 30_049,
    ('aiop-adapters', 'imagenet16-120'): 30_049,
    ('aiop-adapters', None): 2 * 5_281 + 12_480,
}


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
        chosen = cfg.default_hooks.checkpoint.get('save_best') is not None
        assert modes['val'].dataset.part == ('dev' if chosen else 'test'), leaf
        settings = [dict(loader.dataset, part=None) for loader in modes.values()]
        assert settings[0] == settings[1] == settings[2], leaf
        folds = cfg.model.encoder.type == 'hpml_mm.ResidualEncoder'
        assert settings[0].get('fold', False) == folds, leaf
        assert not any(modes[mode].sampler.shuffle for mode in ('val', 'test')), leaf


def test_models_build():
    for leaf in AIOP_LEAVES:
        settings = load(leaf).model.to_dict()
        settings['encoder'].pop('init_cfg', None)
        with DefaultScope.overwrite_default_scope('mmengine'):
            model = MODELS.build(settings)
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        model = network_word(CONFIGS / leaf)
        assert learning == LEARNING[model, settings.get('learn')], leaf


@pytest.fixture
def graphs(tmp_path, monkeypatch):
    """Caches of 32 networks, and one without label, named as the real ones."""
    monkeypatch.setenv('HPML_MM_GRAPHS', str(tmp_path / 'graphs'))
    metrics = [metric for _, metric in DATASET_OF]
    entries = [
        Entry(
            f'{index}',
            branched_graph(blocks, channels + 8 * (index >= len(SIZES))),
            metrics=dict.fromkeys(metrics, toy_label(blocks, channels) + index / 64),
        )
        for index, (blocks, channels) in enumerate(SIZES * 2)
    ]
    entries.insert(3, Entry('other', branched_graph(5, 8)))
    for space in {space for space, _ in DATASET_OF}:
        path = tmp_path / 'graphs' / f'{space}.safetensors'
        GraphCache.from_entries(entries).save(path)
    return tmp_path


def train(leaf, tmp_path, **options):
    """Two epochs of a leaf; its directory and the runner."""
    cfg = Config.fromfile(CONFIGS / leaf)
    cfg.work_dir = str(tmp_path / 'work_dirs' / Path(leaf).stem)
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.default_hooks.checkpoint.interval = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.train = min(loader.dataset.train, 24)
    cfg.experiment_name = f'{tmp_path.name}-{Path(leaf).stem}'
    cfg.merge_from_dict(options)
    runner = build_runner(cfg)
    runner.train()
    return Path(cfg.work_dir), runner


def summary(work_dir):
    return json.loads((work_dir / 'summary.json').read_text())


@pytest.mark.parametrize('leaf', TRAINED)
def test_a_leaf_trains_with_all_hooks(leaf, graphs):
    work_dir, runner = train(leaf, graphs)
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
        assert scaler.spread.item() == pytest.approx(labels.std())
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
    graphs = GraphSet(GraphCache.load(cache).columns)
    rows = known.indices
    learnt = Bounds.of(graphs.statistics.take(rows), graphs.sizes[rows])
    np.testing.assert_allclose(predictor.bounds.high, learnt.high, rtol=1e-6)
    assert predictor.card.rest == len(rest)
    found = predictor.score(graphs, rest.indices)
    expected = predict(runner.model, rest.table, rest.indices)
    assert found.scores == pytest.approx(expected.clip(0, 100))


def test_an_ensemble_trains_by_config_and_tells_its_spread(graphs):
    leaf = next(leaf for leaf in AIOP_LEAVES if 'residual-gnn_1xb32-40e' in leaf)
    member = load(leaf).model.to_dict()
    ensemble = {
        '_delete_': True,
        'type': 'hpml_mm.EnsembleRegressor',
        'members': [member, member],
    }
    work_dir, runner = train(leaf, graphs, model=ensemble)
    (config,) = work_dir.glob('*.py')
    cache = Path(runner.cfg.test_dataloader.dataset.cache)
    predictor = checkpoint_predictor(cache, config, work_dir / 'epoch_2.pth')
    assert (predictor.score(GraphSet(GraphCache.load(cache).columns)).spread > 0).all()


def weights(path):
    # MMEngine keeps its log's buffers beside them.
    return torch.load(path, weights_only=False)['state_dict']


def moved(one, other, start):
    return {
        not torch.allclose(one[name], other[name], atol=0, rtol=0, equal_nan=True)
        for name in one
        if name.startswith(start)
    }


def test_adapters_one_after_another_and_a_target(graphs):
    gnn, first, second, target = (
        next(leaf for leaf in AIOP_LEAVES if words in leaf)
        for words in (
            'aiop-gnn_1xb32-stand-flops-40e_nas',
            'cifar100',
            'imagenet16',
            'aiop-adapters_1xb1-',
        )
    )
    done = [train(gnn, graphs)[0] / 'epoch_2.pth']
    start = {'model.encoder.init_cfg.checkpoint': str(done[-1])}
    done.append(train(first, graphs, **start)[0] / 'epoch_2.pth')
    for leaf in (second, target):
        work_dir, runner = train(leaf, graphs, load_from=str(done[-1]))
        done.append(work_dir / 'epoch_2.pth')
    base, one, two, tuned = map(weights, done)
    assert moved({k: v for k, v in base.items() if k in one}, one, 'encoder') == {False}
    assert moved(one, two, ('encoder', 'adapters.0', 'task_scalers.0')) == {False}
    assert moved(one, two, 'adapters.1') == {True}
    assert moved(two, tuned, ('encoder.layers', 'adapters.0.head')) == {True}
    assert moved(two, tuned, ('encoder.emb', 'adapters.0.layers')) == {False}
    labels = runner.train_dataloader.dataset.labels
    assert len(labels) == 20
    assert torch.isfinite(tuned['scaler.mean'])
