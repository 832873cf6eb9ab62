# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Light FER's ``.t7`` files, by a network of their names that a test writes out."""

import pytest
import torch
from deploy_models import build_leaf
from light_fer_net import light_fer_logits, light_fer_weights

from hpml_mm.engine.weights import load_fitting

LEAF = 'fer/mini-xception_1xb128-sgd-bn99-step-300e_fer2013-44px.py'


@pytest.mark.parametrize('zipped', [True, False])
def test_its_file_computes_the_same_here(tmp_path, zipped):
    state, path = light_fer_weights(), tmp_path / 'private_model_233_66.t7'
    # Those of its repository are of PyTorch before 1.6, which are no ZIP files.
    torch.save({'net': state}, path, _use_new_zipfile_serialization=zipped)
    model = build_leaf(LEAF).eval()
    load_fitting(model, str(path))
    faces = torch.rand(2, 1, 44, 44)
    with torch.no_grad():
        found = model(faces, mode='tensor')
    torch.testing.assert_close(
        found, light_fer_logits(state, faces), rtol=1e-4, atol=1e-4
    )


def test_a_file_that_lacks_a_layer_is_refused(tmp_path):
    state, path = light_fer_weights(), tmp_path / 'model.t7'
    del state['module3.sepConv2.depthwise.weight']
    torch.save({'net': state}, path)
    with pytest.raises(ValueError, match='lacks 1 of the'):
        load_fitting(build_leaf(LEAF), str(path))
