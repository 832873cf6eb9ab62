# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A trained predictor of either kind in a file, and files that are none."""

import dataclasses
import json

import numpy as np
import pytest
from predictor_toys import SIZES, branched_graph, toy_labels
from safetensors.numpy import load_file, save_file

from hpml_mm.predictor.training_range import TrainingRange
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.data.graph_set import GraphSet
from hpml_mm.predictor.gnn.build import build_part
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, fit
from hpml_mm.predictor.gnn.predictor import GNNPredictor
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.predictor import GPPredictor
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.predictor_file import (
    FORMAT,
    load_score_predictor,
    rounded,
    save_score_predictor,
)

MEMBER = {
    'type': 'hpml_mm.GraphRegressor',
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 1},
    'readout': ['sum', 'mean'],
}
ENSEMBLE = {'type': 'hpml_mm.EnsembleRegressor', 'members': [MEMBER, MEMBER]}
SCORES = {'predictor': {'srcc(1)': 0.5, 'mae(points)': 0.25}}
CARD = Card('toy', 'toy/top1(%)', 'kernel', 16, 1, 4, SCORES)


@pytest.fixture(scope='module')
def graphs():
    return GraphSet.of(branched_graph(*size) for size in SIZES)


def kernel(graphs) -> GPPredictor:
    task = Task(graphs.statistics, toy_labels())
    bounds = TrainingRange.of(graphs.statistics, graphs.sizes)
    return GPPredictor(CARD, bounds, GaussianProcess().condition_on(task))


def network(graphs, config=MEMBER) -> GNNPredictor:
    model = build_part(config)
    train = Labelled(graphs.folded, np.arange(16), toy_labels())
    fit(model, train, FitSettings(epochs=1))
    bounds = TrainingRange.of(graphs.statistics, graphs.sizes)
    return GNNPredictor(CARD, bounds, model, config, True)


@pytest.mark.parametrize(
    'make', [kernel, network, lambda graphs: network(graphs, ENSEMBLE)]
)
def test_a_file_predicts_what_was_trained(make, graphs, tmp_path):
    predictor, path = make(graphs), tmp_path / 'new' / 'toy.safetensors'
    save_score_predictor(path, predictor)
    found = load_score_predictor(path)
    assert type(found) is type(predictor)
    assert found.card == CARD
    old, new, near = (p.score(graphs) for p in (predictor, found, rounded(predictor)))
    assert np.abs(new.scores - old.scores).max() < 0.01
    assert np.array_equal(new.scores, near.scores)
    assert new.outside == ('',) * 16
    assert (new.spread is None) == (make is network)
    assert [file.name for file in path.parent.iterdir()] == ['toy.safetensors']
    before = path.read_bytes()
    save_score_predictor(path, found)
    assert path.read_bytes() == before


def test_a_network_unlike_the_known_ones_is_named_with_the_reason(graphs):
    others = GraphSet.of([branched_graph(3, 160), branched_graph(12, 64)])
    within, deep = kernel(graphs).score(others).outside
    assert within == ''
    assert ': 12, learnt from 1 to 4, and ' in deep


def test_other_images_and_doubt_are_reasons(graphs, monkeypatch):
    predictor = kernel(graphs)
    bounds = dataclasses.replace(predictor.bounds, sizes=np.array([[9, 8], [64, 64]]))
    found = dataclasses.replace(predictor, bounds=bounds).score(graphs)
    assert set(found.outside) == {'images of 8x8, learnt from 9x8, 64x64'}
    monkeypatch.setattr('hpml_mm.predictor.predictor.MAX_DOUBT', 0.0)
    reasons = predictor.score(graphs).outside
    assert all(reason.endswith(' % of its score is unknown') for reason in reasons)


def rewritten(path, **changes):
    notes = {
        'kind': 'network',
        'card': CARD.to_json(),
        'settings': {'config': MEMBER, 'fold': True},
    }
    with path.open('rb') as file:
        size = int.from_bytes(file.read(8), 'little')
        known = json.loads(json.loads(file.read(size))['__metadata__'][FORMAT.name])
    save_file(load_file(path), path, {FORMAT.name: json.dumps(known | notes | changes)})


@pytest.fixture(scope='module')
def network_file(graphs, tmp_path_factory):
    path = tmp_path_factory.mktemp('network') / 'toy.safetensors'
    save_score_predictor(path, network(graphs))
    return path


def config(**changes):
    return {'settings': {'config': {**MEMBER, **changes}, 'fold': True}}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'version': 2}, 'version 2; this program reads version 1: train it again'),
        ({'checksum': '0'}, 'is damaged: its content does not have its checksum'),
        ({'kind': 'oracle'}, "not a right predictor: 'oracle'"),
        ({'kind': 'kernel'}, 'not a right predictor'),
        ({'card': {'metric': 1}}, 'its card is not right'),
        ({'card': {**CARD.to_json(), 'seed': 'x'}}, 'values of a wrong type'),
        ({'card': {**CARD.to_json(), 'table': 3}}, 'values of a wrong type'),
        ({'settings': {}}, 'not a right predictor'),
        (config(type='os.system', command='exit'), "names 'os.system'"),
        (config(head={'type': 'subprocess.Popen'}), "'subprocess.Popen', which is no"),
        (config(wide=1), "argument 'wide'"),
        (config(readout=['sum']), 'size mismatch'),
    ],
)
def test_files_that_are_not_right(changes, message, network_file, tmp_path):
    path = tmp_path / 'toy.safetensors'
    path.write_bytes(network_file.read_bytes())
    rewritten(path, **changes)
    with pytest.raises(ValueError, match=message):
        load_score_predictor(path)


def test_foreign_and_truncated_files(network_file, tmp_path):
    path = tmp_path / 'toy.safetensors'
    save_file(load_file(network_file), path, {'format': 'other'})
    with pytest.raises(ValueError, match='a safetensors file, but not a predictor'):
        load_score_predictor(path)
    path.write_bytes(network_file.read_bytes()[:-100])
    with pytest.raises(ValueError, match='not a predictor, or is truncated'):
        load_score_predictor(path)
    with pytest.raises(FileNotFoundError, match='no predictor'):
        load_score_predictor(tmp_path / 'none.safetensors')


def test_a_card_of_an_older_file_has_no_note_and_no_table():
    content = CARD.to_json()
    del content['note'], content['table']
    card = Card.from_json(content)
    assert (card.task, card.table) == ('toy top-1 (%)', None)
    noted = dataclasses.replace(card, note='after 12 epochs')
    assert noted.task == 'toy top-1 (%) after 12 epochs'


def test_a_card_that_is_no_json_leaves_nothing(graphs, tmp_path):
    card = dataclasses.replace(CARD, scores={'predictor': {'srcc(1)': float('nan')}})
    predictor = dataclasses.replace(kernel(graphs), card=card)
    with pytest.raises(ValueError, match='JSON'):
        save_score_predictor(tmp_path / 'toy.safetensors', predictor)
    assert not list(tmp_path.iterdir())
