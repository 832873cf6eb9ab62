# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A trained predictor of either kind in a file, and files that are none."""

import dataclasses
import json

import numpy as np
import pytest
from predictor_toys import branched_graph, labelled, toy_graphs, toy_labels
from safetensors.numpy import load_file, save_file

from hpml_mm.predictor.card import Card
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.fit import FitSettings, fit
from hpml_mm.predictor.gnn.regressor import build_part
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.predictor_file import (
    FORMAT,
    GNNPredictor,
    GPPredictor,
    as_stored,
    load_score_predictor,
    save_score_predictor,
)
from hpml_mm.predictor.training_range import TrainingRange

MODEL = {
    'type': 'hpml_mm.GraphRegressor',
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 1},
    'readout': ['sum', 'mean'],
}
SCORES = {'predictor': {'srcc(1)': 0.5, 'mae(points)': 0.25}}
CARD = Card('toy', 'toy/top1(%)', 'gp', 16, 1, 4, SCORES, 'c0ffee00')


@pytest.fixture(scope='module')
def gp():
    graphs = toy_graphs()
    model = GaussianProcess().condition_on(Task(graphs.statistics, toy_labels()))
    return GPPredictor(CARD, TrainingRange.of(graphs.statistics, graphs.sizes), model)


@pytest.fixture(scope='module')
def gnn(gp):
    model = build_part(MODEL, GraphRegressor)
    fit(model, labelled(fold=True), FitSettings(epochs=1))
    return GNNPredictor(CARD, gp.range, model, MODEL, True)


@pytest.mark.parametrize('kind', ['gp', 'gnn'])
def test_a_file_predicts_as_the_trained_model(kind, request, tmp_path):
    predictor = request.getfixturevalue(kind)
    path = tmp_path / 'new' / 'toy.safetensors'
    save_score_predictor(path, predictor)
    found, graphs = load_score_predictor(path), toy_graphs()
    assert type(found) is type(predictor)
    assert found.card == CARD
    old, new, near = (p.score(graphs) for p in (predictor, found, as_stored(predictor)))
    assert np.abs(new.scores - old.scores).max() < 0.01
    assert np.array_equal(new.scores, near.scores)
    assert new.ood == ('',) * 16
    assert (new.std is None) == (kind == 'gnn')
    assert [file.name for file in path.parent.iterdir()] == ['toy.safetensors']
    before = path.read_bytes()
    save_score_predictor(path, found)
    assert path.read_bytes() == before


def test_a_network_out_of_distribution_is_named_with_the_reason(gp, monkeypatch):
    others = GraphSet.of([branched_graph(3, 160), branched_graph(12, 64)])
    within, deep = gp.score(others).ood
    assert within == ''
    assert ': 12, trained on 1 to 4, and ' in deep
    sizes = dataclasses.replace(gp.range, sizes=np.array([[9, 8], [64, 64]]))
    found = dataclasses.replace(gp, range=sizes).score(toy_graphs())
    assert set(found.ood) == {'images of 8x8, trained on 9x8, 64x64'}
    monkeypatch.setattr('hpml_mm.predictor.predictor.MAX_RELATIVE_STD', 0.0)
    reasons = gp.score(toy_graphs()).ood
    assert all(
        reason.endswith('prior standard deviation is left') for reason in reasons
    )


@pytest.fixture(scope='module')
def gnn_file(gnn, tmp_path_factory):
    path = tmp_path_factory.mktemp('gnn') / 'toy.safetensors'
    save_score_predictor(path, gnn)
    return path


def config(**changes):
    return {'settings': {'config': {**MODEL, **changes}, 'fold': True}}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'version': 1}, 'version 1; .* version 2: train it again by `hpml nas train'),
        ({'checksum': '0'}, 'checksum'),
        ({'kind': 'oracle'}, "'oracle'"),
        ({'kind': 'gp'}, 'not a right predictor'),
        ({'card': {'metric': 1}}, 'its card is not right'),
        ({'card': {**dataclasses.asdict(CARD), 'seed': 'x'}}, 'values of a wrong type'),
        ({'card': {**dataclasses.asdict(CARD), 'table': 3}}, 'values of a wrong type'),
        ({'settings': {}}, 'not a right predictor'),
        (config(type='os.system', command='exit'), "'os.system' is no part"),
        (config(head={'type': 'subprocess.Popen'}), "'subprocess.Popen' is no part"),
        (config(type='hpml_mm.EnsembleRegressor'), "'hpml_mm.EnsembleRegressor' is no"),
        (config(wide=1), "argument 'wide'"),
        (config(readout=['sum']), 'size mismatch'),
    ],
)
def test_files_that_are_not_right(changes, message, gnn_file, tmp_path):
    path = tmp_path / 'toy.safetensors'
    with gnn_file.open('rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        notes = json.loads(json.loads(file.read(size))['__metadata__'][FORMAT.name])
    save_file(load_file(gnn_file), path, {FORMAT.name: json.dumps(notes | changes)})
    with pytest.raises(ValueError, match=message):
        load_score_predictor(path)
