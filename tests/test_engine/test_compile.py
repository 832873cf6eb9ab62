# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy
from collections import Counter

import pytest
import torch
from torch import nn

from hpml_mm.engine.speed import check_compiler, compile_parts_
from hpml_mm.measure.step_cost import has_compiled_parts

# Traces as the default backend does, but needs no compiler and no time.
EAGER = {'backend': 'aot_eager'}


class Head(nn.Module):
    """Calls itself in both ways that heads of MMPretrain and MMPose do."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, features):
        return self.fc(features.mean((2, 3)))

    def loss(self, features):
        return self.forward(features).square().mean() + self(features).mean()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = Head()

    def loss(self, images):
        return self.head.loss(self.backbone(images))


@pytest.fixture
def graphs():
    """Counts what is compiled, by the number of samples that come in."""
    torch.compiler.reset()
    seen = Counter()

    def backend(graph, inputs):
        images = [x for x in inputs if x.dim() == 4 and not x.requires_grad]
        seen.update(x.shape[0] for x in images)
        seen['all'] += 1
        return graph.forward

    yield seen, backend
    torch.compiler.reset()


def model_and_images():
    torch.manual_seed(0)
    return Model(), torch.randn(6, 1, 8, 8)


def test_losses_gradients_and_keys_stay(graphs):
    model, images = model_and_images()
    plain = copy.deepcopy(model)
    keys = list(model.state_dict())
    assert compile_parts_(model, EAGER) == ['backbone', 'head']
    assert has_compiled_parts(model)
    assert not has_compiled_parts(plain)
    loss, expected = model.loss(images), plain.loss(images)
    loss.backward()
    expected.backward()
    assert torch.equal(loss, expected)
    for param, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(param.grad, other.grad)
    assert list(model.state_dict()) == keys
    assert 'forward' not in repr(model)


def test_both_ways_of_calling_a_head_are_compiled(graphs):
    seen, backend = graphs
    model, images = model_and_images()
    compile_parts_(model, {'backend': backend})
    features = model.backbone(images)
    count = seen['all']
    model.head(features)
    model.head.forward(features)
    assert (count, seen['all']) == (1, 2)


def test_sizes_of_validation_batches_compile_nothing(graphs):
    seen, backend = graphs
    model, images = model_and_images()
    compile_parts_(model, {'backend': backend})
    for size in (4, 4, 2, 4):  # two epochs of training, whose last batch is smaller
        model.loss(images[:size])
    compiled = seen['all']
    model.eval()
    with torch.no_grad():
        for size in (6, 5, 3, 1):
            model.loss(images[:size])
    model.train()
    with torch.no_grad():
        model.loss(images[:3])
    model.loss(images[:4])
    assert seen['all'] == compiled
    assert seen[4] == 1


def test_a_copy_computes_with_its_own_weights(graphs):
    model, images = model_and_images()
    compile_parts_(model, EAGER)
    model.loss(images)
    other = copy.deepcopy(model)
    assert not has_compiled_parts(other)
    with torch.no_grad():
        for param in other.parameters():
            param.zero_()
    assert other.loss(images) == 0
    assert model.loss(images) != 0


def test_compiling_twice_is_compiling_once():
    model, _ = model_and_images()
    compile_parts_(model, EAGER)
    before = model.head.forward
    compile_parts_(model, EAGER)
    assert model.head.forward is before


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="unknown argument 'dynamics'; known are"):
        compile_parts_(Model(), {'dynamics': True})
    with pytest.raises(ValueError, match='Linear has none of the parts'):
        compile_parts_(nn.Linear(1, 1))


def test_a_compiler_that_is_missing_is_found_out_before(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError('No working C++ compiler found\nmuch more')

    torch.compiler.reset()
    with pytest.raises(ValueError, match='compiler found.*apt install') as caught:
        check_compiler('cpu', broken)
    assert 'much more' not in str(caught.value)
    check_compiler('cpu', 'aot_eager')
