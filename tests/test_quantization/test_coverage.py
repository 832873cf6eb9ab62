# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from deploy_models import FACES, build_leaf
from quantized_toys import EXCITE, swish_net, toy_batches, toy_spec
from torch import nn

from hpml_mm.deploy.network import plain_network
from hpml_mm.quantization.backends import BACKENDS
from hpml_mm.quantization.coverage import (
    Coverage,
    LayerCoverage,
    NothingConverted,
    require_converted,
    squeeze_excitation_layers,
)


def test_squeeze_and_excitation_is_found_by_what_it_does():
    network, images = swish_net(), toy_batches()[0]
    assert squeeze_excitation_layers(network, images) == EXCITE
    assert not any(module._forward_hooks for module in network.modules())
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 5, 1), nn.Flatten())
    assert squeeze_excitation_layers(pooled, images) == []
    faces = plain_network(build_leaf(FACES))
    assert squeeze_excitation_layers(faces, torch.randn(1, 1, 44, 44)) == []


def test_coverage_says_what_stayed_and_why():
    coverage = Coverage(
        (
            LayerCoverage('a'),
            LayerCoverage('b', 'asked for'),
            LayerCoverage('c', 'no kernel'),
            LayerCoverage('d', 'asked for'),
        )
    )
    assert [layer.name for layer in coverage.converted] == ['a']
    assert [layer.name for layer in coverage.kept] == ['b', 'c', 'd']
    assert coverage.reasons() == {'asked for': ['b', 'd'], 'no kernel': ['c']}
    assert require_converted(coverage, 'unused') is coverage


def test_nothing_converted_is_an_error():
    coverage = Coverage((LayerCoverage('a', 'no kernel'),))
    with pytest.raises(NothingConverted, match=r'0 of 1 .*1 x no kernel.*do this') as e:
        require_converted(coverage, 'do this')
    assert e.value.layers == 1
    with pytest.raises(NothingConverted, match='0 of 0'):
        require_converted(Coverage(()), 'do this')


def test_the_call_of_light_fer_converts_nothing():
    """Asked for linear layers and convolutions, it leaves all 23 as they are."""
    network = plain_network(build_leaf(FACES))
    images = [torch.randn(1, 1, 44, 44)]
    backend = BACKENDS['torch'](network, toy_spec(), images, 'dynamic')
    with pytest.raises(NothingConverted, match='0 of 23 layers.*Conv2d.*ptq'):
        backend.convert()
