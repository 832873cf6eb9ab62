# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A trained predictor in a file, and files that are none."""

import json

import numpy as np
import pytest
import torch
from predictor_toys import toy_labels, toy_table
from safetensors.torch import load_file, save_file

from hpml_mm.predictor.fit import FitSettings, Labelled, fit, predict
from hpml_mm.predictor.model_file import Predictor, load_predictor, save_predictor
from hpml_mm.predictor.models.build import build_part

MEMBER = {
    'type': 'hpml_mm.GraphRegressor',
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 1},
    'readout': ['sum', 'mean'],
}
ENSEMBLE = {'type': 'hpml_mm.EnsembleRegressor', 'members': [MEMBER, MEMBER]}
CARD = {'metric': 'toy/top1(%)', 'spaces': ['toy'], 'mae(points)': 0.5}


def trained(settings):
    model = build_part(settings)
    train = Labelled(toy_table(fold=True), np.arange(16), toy_labels())
    fit(model, train, FitSettings(epochs=1))
    return Predictor(model, settings, True, CARD)


@pytest.mark.parametrize('settings', [MEMBER, ENSEMBLE])
def test_a_file_predicts_what_was_trained(settings, tmp_path):
    predictor, path = trained(settings), tmp_path / 'new' / 'toy.safetensors'
    save_predictor(path, predictor)
    found, table = load_predictor(path), toy_table(fold=True)
    assert np.array_equal(predict(found.model, table), predict(predictor.model, table))
    assert (found.settings, found.fold, found.card) == (settings, True, CARD)
    assert [file.name for file in path.parent.iterdir()] == ['toy.safetensors']


def test_half_precision_halves_the_file(tmp_path):
    predictor, table = trained(MEMBER), toy_table(fold=True)
    sizes, answers = [], []
    for dtype in (torch.float32, torch.float16):
        save_predictor(tmp_path / 'toy.safetensors', predictor, dtype)
        sizes.append((tmp_path / 'toy.safetensors').stat().st_size)
        found = load_predictor(tmp_path / 'toy.safetensors')
        answers.append(predict(found.model, table))
    assert sizes[1] < 0.7 * sizes[0]
    assert answers[1] == pytest.approx(answers[0], abs=0.02)
    assert next(found.model.parameters()).dtype == torch.float32
    assert found.model.scaler.mean == predictor.model.scaler.mean


def rewritten(path, **changes):
    save_predictor(path, trained(MEMBER))
    notes = {
        'format': 'hpml_mm predictor',
        'version': '1',
        'settings': json.dumps(MEMBER),
        'fold': 'true',
        'card': '{}',
    }
    save_file(load_file(path), path, {**notes, **changes})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'format': 'other'}, 'but not a predictor'),
        ({'version': '2'}, 'version 2; this program reads version 1'),
        ({'card': '{'}, 'not a right predictor'),
        ({'settings': '{}'}, 'not a right predictor'),
        ({'settings': '{"type": "os.system", "command": "exit"}'}, "names 'os.system'"),
        (
            {'settings': json.dumps({**MEMBER, 'head': {'type': 'subprocess.Popen'}})},
            "names 'subprocess.Popen', which is no part",
        ),
        ({'settings': json.dumps({**MEMBER, 'wide': 1})}, "argument 'wide'"),
        ({'settings': json.dumps({**MEMBER, 'readout': ['sum']})}, 'size mismatch'),
    ],
)
def test_files_that_are_not_right(changes, message, tmp_path):
    rewritten(tmp_path / 'toy.safetensors', **changes)
    with pytest.raises(ValueError, match=message):
        load_predictor(tmp_path / 'toy.safetensors')


def test_a_truncated_file(tmp_path):
    path = tmp_path / 'toy.safetensors'
    save_predictor(path, trained(MEMBER))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match='not a predictor, or is truncated'):
        load_predictor(path)
    with pytest.raises(FileNotFoundError, match='no predictor'):
        load_predictor(tmp_path / 'none.safetensors')


def test_a_card_that_is_no_json_leaves_nothing(tmp_path):
    predictor = trained(MEMBER)
    wrong = Predictor(predictor.model, MEMBER, True, {'srcc(1)': float('nan')})
    with pytest.raises(ValueError, match='JSON'):
        save_predictor(tmp_path / 'toy.safetensors', wrong)
    assert not list(tmp_path.iterdir())
