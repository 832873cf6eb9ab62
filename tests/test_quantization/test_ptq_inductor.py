# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from quantized_toys import LAYERS, swish_net, toy_batches
from torch import nn

from hpml_mm.quantization.backends.inductor import InductorPTQ, size_mib
from hpml_mm.quantization.errors import NothingConverted


class Residual(nn.Module):
    """One ReLU for two sums, and a sum with 0: what stops torchao by itself."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, padding=1)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images):
        x = self.relu(self.first(images))
        y = 0
        y += self.second(x)
        return self.relu(y + x)


def test_residual_blocks_are_converted_and_small():
    network = Residual().eval()
    program, coverage = InductorPTQ(network, toy_batches(1), 'minmax').convert()
    assert [layer.name for layer in coverage.converted] == ['first', 'second']
    weights = sum(weight.nbytes for weight in network.parameters()) / 2**20
    assert 0.25 * weights < size_mib(program) < 0.3 * weights
    images = toy_batches(1, seed=5)[0][:3]  # of another size than the example
    with torch.no_grad():
        torch.testing.assert_close(program(images), network(images), atol=0.1, rtol=0.1)


def test_products_stay_in_fp32():
    ptq = InductorPTQ(swish_net(), toy_batches(1), 'minmax')
    assert ptq.layers == LAYERS
    program, _ = ptq.convert()
    products = [n for n in program.graph.nodes if 'aten.mul' in str(n.target)]
    assert products
    for node in products:
        assert not any('dequantize' in str(one.target) for one in node.args)


def test_nothing_converted_is_an_error():
    ptq = InductorPTQ(Residual(), toy_batches(1), 'minmax')
    with pytest.raises(NothingConverted, match='^0 of 2 layers.*2 x kept'):
        ptq.convert({'first': 'kept', 'second': 'kept'})
