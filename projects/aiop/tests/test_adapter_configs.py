# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The configs of AIO-P's adapters, trained one after another, and of an ensemble."""

from pathlib import Path

import pytest
import torch
from leaves import name_problems
from predictor_runs import save_caches, train_leaf

from hpml_mm.config.overrides import load_config
from hpml_mm.predictor.checkpoint_predictor import checkpoint_predictor
from hpml_mm.predictor.gnn.regressor import build_part
from projects.aiop import KAdapterRegressor

CONFIGS = Path(__file__).parents[1] / 'configs'
BASE = Path(__file__).parents[3] / 'configs' / 'aiop'
LEAVES = sorted(CONFIGS.glob('aiop-*.py'))
# Trained parameters by task; of the target two heads and six layers.
TRAINED = {'cifar100': 30_049, 'imagenet16-120': 30_049, None: 2 * 5_281 + 12_480}


def test_there_are_leaves():
    assert len(LEAVES) == 3


def test_names_tell_the_truth():
    assert [problem for path in LEAVES for problem in name_problems(path)] == []


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_parts_belong_together(path):
    cfg = load_config(str(path))
    # The best epoch is chosen by networks that nothing is reported on.
    chosen = cfg.default_hooks.checkpoint.get('save_best') is not None
    assert cfg.val_dataloader.dataset.part == ('dev' if chosen else 'test')
    settings = cfg.model.to_dict()
    settings['encoder'].pop('init_cfg', None)
    model = build_part(settings, KAdapterRegressor)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == TRAINED[cfg.model.get('learn')]


def test_the_first_adapter_starts_from_the_best_epoch_by_dev():
    (path,) = CONFIGS.glob('*-stand-flops-40e_nas-bench-201-cifar100-32px.py')
    source = Path(load_config(str(path)).model.encoder.init_cfg.checkpoint)
    assert source.name == 'best_*.pth'
    base = load_config(str(BASE / f'{source.parent.name}.py'))
    assert base.default_hooks.checkpoint.save_best == 'mae(points)'
    assert base.val_dataloader.dataset.part == 'dev'


@pytest.fixture
def graphs(tmp_path, monkeypatch):
    monkeypatch.setenv('HPML_MM_GRAPHS', str(tmp_path / 'graphs'))
    save_caches(tmp_path / 'graphs')
    return tmp_path


def weights(path):
    # MMEngine keeps its log's buffers beside them.
    return torch.load(path, weights_only=False)['state_dict']


def moved(one, other, start):
    return {
        not torch.allclose(one[name], other[name], atol=0, rtol=0, equal_nan=True)
        for name in one
        if name.startswith(start)
    }


@pytest.mark.slow
def test_adapters_one_after_another_and_a_target(graphs):
    gnn = BASE / 'aiop-gnn_1xb32-stand-flops-40e_nas-bench-201-cifar10-32px.py'
    work_dir, _ = train_leaf(gnn, graphs)
    # The best epoch of the pre-training, as AIO-P, and the last of an adapter's.
    (best,) = work_dir.glob('best_*.pth')
    done, starts = [best], [work_dir / 'best_*.pth']
    for words, key in (
        ('cifar100', 'model.encoder.init_cfg.checkpoint'),
        ('imagenet16', 'load_from'),
        ('_1xb1-', 'load_from'),
    ):
        path = next(path for path in LEAVES if words in path.name)
        work_dir, runner = train_leaf(path, graphs, **{key: str(starts[-1])})
        done.append(work_dir / 'epoch_2.pth')
        starts.append(done[-1])
    base, one, two, tuned = map(weights, done)
    assert moved({k: v for k, v in base.items() if k in one}, one, 'encoder') == {False}
    assert moved(one, two, ('encoder', 'adapters.0', 'task_scalers.0')) == {False}
    assert moved(one, two, 'adapters.1') == {True}
    assert moved(two, tuned, ('encoder.layers', 'adapters.0.head')) == {True}
    assert moved(two, tuned, ('encoder.emb', 'adapters.0.layers')) == {False}
    assert len(runner.train_dataloader.dataset.labels) == 20
    assert torch.isfinite(tuned['scaler.mean'])
    (config,) = work_dir.glob('*.py')
    cache = graphs / 'graphs' / 'ofa-mbv3-w1.0.safetensors'
    with pytest.raises(ValueError, match='KAdapterRegressor'):
        checkpoint_predictor(cache, config, done[-1])


@pytest.mark.slow
def test_an_ensemble_trains_by_config(graphs):
    (leaf,) = BASE.glob('residual-gnn_1xb32-40e_nas-bench-macro*')
    member = load_config(str(leaf)).model.to_dict()
    ensemble = {
        '_delete_': True,
        'type': 'hpml_mm.EnsembleRegressor',
        'members': [member, member],
    }
    imports = {'custom_imports': {'imports': ['projects.aiop']}}
    _, runner = train_leaf(leaf, graphs, model=ensemble, **imports)
    dataset = runner.train_dataloader.dataset
    with torch.no_grad():
        scores = runner.model.eval().member_scores(dataset[0]['inputs'])
    assert scores.shape == (1, 2)
    assert scores.std() > 0
