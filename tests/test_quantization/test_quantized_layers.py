# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.registry import DefaultScope
from quantized_toys import LAYERS, swish_net, toy_batches
from torch import nn

from hpml_mm.quantization.backends.dynamic import dynamic_torch
from hpml_mm.quantization.coverage import (
    Coverage,
    LayerCoverage,
    module_coverage,
    require_converted,
)
from hpml_mm.quantization.errors import NothingConverted
from hpml_mm.quantization.layers import channel_axis, gate_layers, weighted_layers


def mini_xception():
    """The classifier of light FER, with its head."""
    from hpml_mm.deploy.network import plain_network
    from hpml_mm.registry import MODELS

    config = {
        'type': 'mmpretrain.ImageClassifier',
        'backbone': {'type': 'hpml_mm.MiniXception'},
        'head': {'type': 'hpml_mm.ConvClsHead'},
    }
    # Another test may have left MMPose's scope.
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(config)
    return plain_network(model).eval()


def test_layers_with_weights_in_their_order():
    assert list(weighted_layers(swish_net())) == LAYERS
    assert channel_axis(nn.ConvTranspose2d(2, 3, 2)) == 1
    assert channel_axis(nn.Conv2d(2, 3, 2)) == channel_axis(nn.Linear(2, 3)) == 0


def test_gates_are_found_by_what_they_do():
    network = swish_net()
    assert gate_layers(network, toy_batches()[0]) == ['excite.reduce', 'excite.expand']
    assert not any(module._forward_hooks for module in network.modules())
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 5, 1), nn.Flatten())
    assert gate_layers(pooled, toy_batches()[0]) == []
    assert gate_layers(mini_xception(), torch.randn(1, 1, 44, 44)) == []


def test_coverage_says_what_stayed_and_why():
    coverage = Coverage(
        (
            LayerCoverage('a', 'Conv'),
            LayerCoverage('b', 'Conv', 'asked for'),
            LayerCoverage('c', 'Gemm', 'no kernel'),
            LayerCoverage('d', 'Conv', 'asked for'),
        )
    )
    assert [layer.name for layer in coverage.converted] == ['a']
    assert coverage.reasons() == {'asked for': ['b', 'd'], 'no kernel': ['c']}
    assert str(coverage) == (
        '1 of 4 layers are INT8; in FP32: b, d (asked for); c (no kernel)'
    )
    assert require_converted(coverage, 'unused') is coverage


def test_nothing_converted_is_an_error():
    coverage = Coverage((LayerCoverage('a', 'Conv', 'no kernel'),))
    with pytest.raises(
        NothingConverted, match=r'^0 of 1 layers .* \(1 x no kernel\): do something$'
    ):
        require_converted(coverage, 'do something')
    with pytest.raises(NothingConverted, match='^0 of 0 layers'):
        require_converted(Coverage(()), 'do something')


@pytest.mark.filterwarnings('ignore:torch.ao.quantization is deprecated')
def test_the_call_of_light_fer_converts_nothing():
    """Asked for linear layers and convolutions, it leaves all 23 as they are."""
    network = mini_xception()
    converted = torch.ao.quantization.quantize_dynamic(
        network, {nn.Linear, nn.Conv2d}, dtype=torch.qint8
    )
    assert module_coverage(network, converted).converted == ()
    with pytest.raises(NothingConverted, match='^0 of 23 layers.*Conv2d.*ptq'):
        dynamic_torch(network)


def test_dynamic_quantization_converts_linear_layers_only():
    network = swish_net()
    converted, coverage = dynamic_torch(network)
    assert [layer.name for layer in coverage.converted] == ['fc']
    assert coverage.reasons() == {'PyTorch has no dynamic INT8 Conv2d': LAYERS[:-1]}
    images = toy_batches()[0]
    torch.testing.assert_close(converted(images), network(images), atol=0.05, rtol=0.05)
    assert type(network.fc) is nn.Linear
