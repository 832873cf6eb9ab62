# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import onnx
import torch
from deploy_models import FACES, build_leaf, leaf
from torch import nn

from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.network import PlainNetwork
from hpml_mm.deploy.onnx_file import export_onnx
from hpml_mm.deploy.onnx_names import node_modules


def test_the_modules_of_quantized_nodes_are_found():
    helper = onnx.helper
    weight = helper.make_tensor('a.conv.weight_quantized', 3, [1, 1, 1, 1], [1])
    scale = helper.make_tensor('s', 1, [], [1.0])
    nodes = [
        helper.make_node('DequantizeLinear', ['a.conv.weight_quantized', 's'], ['w']),
        helper.make_node('Conv', ['x', 'w'], ['y'], name='conv_node'),
        helper.make_node('MatMul', ['y', 'y'], ['z'], name='product'),
    ]
    graph = helper.make_graph(nodes, 'g', [], [], [weight, scale])
    assert node_modules(helper.make_model(graph)) == {'conv_node': 'a.conv'}


class Tall(nn.Module):
    """Linear layers over the columns of images, and a product of activations."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(44, 5)
        self.again = nn.Linear(5, 5, bias=False)

    def forward(self, images):
        rows = self.first(images)
        rows = self.again(self.again(rows))
        return (rows @ rows.transpose(2, 3),)


def test_linear_layers_over_more_than_rows_have_names(tmp_path):
    network = PlainNetwork(Tall(), None, nn.Sequential(nn.Flatten(2)))
    network.head.forward = lambda feats: feats[-1]
    spec = spec_of(leaf(FACES), build_leaf(FACES))
    export_onnx(network, spec, tmp_path / 'a.onnx', torch.randn(2, 1, 44, 44))
    model = onnx.load(tmp_path / 'a.onnx')
    found = sorted(node_modules(model).values())
    assert found == ['backbone.again', 'backbone.again', 'backbone.first']
    names = [weight.name for weight in model.graph.initializer]
    assert len(names) == len(set(names))
