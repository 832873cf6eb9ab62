# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The published classifiers as a cache."""

import json

import pytest
from predictor_command import printed
from toy_graphs import chain_graph

from hpml_mm.predictor.data import zoo
from hpml_mm.predictor.data.zoo import METRIC, Published, build_zoo, published
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry

MODELS = [
    Published('small', 'Chain', 'a.py', 70.5),
    Published('small-tuned', 'Chain', 'a.py', 71),
    Published('odd', 'Strange one', 'b.py', 60.0),
]


@pytest.fixture
def loaded(monkeypatch):
    """Names of the models that are traced, which are chains; 'odd' cannot be."""
    names = []

    def load(name: str) -> Entry:
        names.append(name)
        if name == 'odd':
            raise ValueError('an operator is unknown')
        return Entry(name, chain_graph(2), None, {'macs': 5.0})

    monkeypatch.setattr(zoo, 'published', lambda: MODELS)
    monkeypatch.setattr(zoo, 'load_source', load)
    return names


def test_an_interrupted_build_goes_on_and_lists_what_is_left_out(
    tmp_path, loaded, capsys
):
    def interrupt(model: Published, problem: str) -> None:
        if model.name == 'odd':
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_zoo(tmp_path / 'zoo', interrupt)
    assert not (tmp_path / 'zoo').exists()
    capsys.readouterr()
    lines = printed(capsys, 'cache', 'zoo', '--out', tmp_path / 'zoo')
    assert lines[0] == 'Strange one/odd left out: an operator is unknown'
    assert lines[1].startswith('2 graphs written to ')
    cache = GraphCache.load(tmp_path / 'zoo')
    assert cache.names == ['Chain/small', 'Chain/small-tuned']
    assert cache.metric(METRIC).tolist() == [70.5, 71]
    assert cache[1].metrics['macs'] == 5
    assert loaded == ['small', 'odd', 'odd']  # each config once
    left_out = (tmp_path / 'zoo.left-out.json').read_text()
    assert json.loads(left_out) == {'odd': 'an operator is unknown'}
    assert len(list(tmp_path.iterdir())) == 2


def test_published_models_have_family_and_accuracy():
    models = {model.name: model for model in published()}
    assert len(models) > 300
    resnet = models['resnet18_8xb32_in1k']
    assert (resnet.family, resnet.top1) == ('ResNet', 69.9)
    assert resnet.config.endswith('resnet18_8xb32_in1k.py')
    assert all(50 < model.top1 < 92 for model in models.values())
