# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os
import re

import numpy as np
import pytest
import torch
from elastic_nets import Elastic, random_supernet
from torch.nn import functional as F

from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.blocks import make_divisible
from hpml_mm.predictor.spaces.ofa_mobile import OFAMobileNetV3Space, OFAProxylessSpace
from hpml_mm.predictor.spaces.supernet import read_supernet, subnet_weights

LARGEST = {'ks': 7, 'e': 6, 'd': 4}
SEARCHED_BLOCKS = r'blocks\.[1-9]'


@pytest.fixture(scope='module')
def space():
    return OFAMobileNetV3Space(0.3)


@pytest.fixture(scope='module')
def supernet(space):
    return random_supernet(space, LARGEST, SEARCHED_BLOCKS)


def cut(space, arch, supernet):
    """The whole network with its part of a supernet's weights."""
    net = space.build(arch).eval()
    net.load_state_dict(subnet_weights(supernet, space.layers(arch, 1000)))
    return net


def layer(elastic, x, name, stride=1):
    return elastic.norm(elastic.conv(x, f'{name}.conv', None, stride), f'{name}.bn')


def classified(supernet, x):
    weights = [supernet[f'classifier.linear.{w}'] for w in ('weight', 'bias')]
    return F.linear(x.flatten(1), *weights)


@torch.no_grad()
def test_mobilenet_computes_what_the_supernet_does(space, supernet):
    elastic = Elastic(supernet)
    x = torch.randn(2, 3, 64, 64)
    swish, relu = F.hardswish, F.relu
    rng = np.random.default_rng(0)
    for _ in range(3):
        arch = space.sample(rng)
        y = swish(layer(elastic, x, 'first_conv', 2))
        y = elastic.first_block(y, relu, shortcut=True)
        acts = [relu, relu, swish, swish, swish]
        y = elastic.mobile(y, space.to_dict(arch), (2, 2, 2, 1, 2), acts)
        y = swish(layer(elastic, y, 'final_expand_layer')).mean((2, 3), keepdim=True)
        y = swish(elastic.conv(y, 'feature_mix_layer.conv'))
        expected = classified(supernet, y)
        actual = cut(space, arch, supernet)(x)
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-3)
        assert expected.std() > 1e-2


@torch.no_grad()
def test_proxylessnas_computes_what_the_supernet_does():
    space = OFAProxylessSpace(0.3)
    largest = {**LARGEST, 'd': [4] * 5 + [1]}
    supernet = random_supernet(space, largest, SEARCHED_BLOCKS)
    elastic = Elastic(supernet, eps=1e-3)
    x = torch.randn(2, 3, 64, 64)
    arch = space.sample(np.random.default_rng(0))
    y = F.relu6(layer(elastic, x, 'first_conv', 2))
    y = elastic.first_block(y, F.relu6, shortcut=False)
    y = elastic.mobile(y, space.to_dict(arch), (2, 2, 2, 1, 2, 1), [F.relu6] * 6)
    y = F.relu6(layer(elastic, y, 'feature_mix_layer')).mean((2, 3))
    actual = cut(space, arch, supernet)(x)
    torch.testing.assert_close(actual, classified(supernet, y), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_resnet_computes_what_the_supernet_does():
    space = get_space('ofa-resnet50')
    supernet = random_supernet(space, {'d': 2, 'e': 0.35, 'w': 2}, '')
    elastic = Elastic(supernet)
    form = {'d': [0, 2, 1, 0, 1], 'e': [0.2, 0.25, 0.35] * 6, 'w': [0, 1, 2, 0, 1, 0]}
    multipliers = [(0.65, 0.8, 1.0)[index] for index in form['w']]
    middle = make_divisible(make_divisible(64 * multipliers[0]) // 2)
    x = torch.randn(2, 3, 64, 64)

    y = elastic.conv(x, 'input_stem.0.conv.conv', middle, 2)
    y = elastic.norm(y, 'input_stem.0.bn.bn').relu()
    y = elastic.conv(y, 'input_stem.2.conv.conv', make_divisible(64 * multipliers[1]))
    y = elastic.norm(y, 'input_stem.2.bn.bn').relu()
    y = F.max_pool2d(y, 3, 2, 1)
    begins = (0, 4, 8, 14)
    for stage, base in enumerate((2, 2, 4, 2)):
        out = make_divisible((256, 512, 1024, 2048)[stage] * multipliers[stage + 2])
        for index in range(base + form['d'][stage + 1]):
            slot = begins[stage] + index
            stride = 2 if stage and not index else 1
            y = elastic.bottleneck(y, slot, form['e'][slot], out, stride)
    weight, bias = (
        supernet[f'classifier.linear.linear.{w}'] for w in ('weight', 'bias')
    )
    expected = F.linear(y.mean((2, 3)), weight[:, : y.shape[1]], bias)
    actual = cut(space, space.decode(form), supernet)(x)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-3)


def test_newer_names_hold_the_same_weights(space, supernet):
    """Later checkpoints say ``conv`` for ``mobile_inverted_conv``."""
    layers = space.layers(space.sample(np.random.default_rng(1)), 1000)
    renamed = {
        key.replace('mobile_inverted_conv', 'conv'): supernet[key] for key in supernet
    }
    assert renamed.keys() != supernet.keys()
    expected = subnet_weights(supernet, layers)
    for name, weight in subnet_weights(renamed, layers).items():
        assert torch.equal(weight, expected[name]), name


def test_without_matrices_a_smaller_kernel_is_the_middle(space, supernet):
    plain = {key: value for key, value in supernet.items() if 'matrix' not in key}
    arch = space.decode({'ks': 3, 'e': 3, 'd': 2})
    name = 'blocks.1.conv.depth_conv.conv.weight'
    kernel = subnet_weights(plain, space.layers(arch, 1000))[name]
    source = supernet['blocks.1.mobile_inverted_conv.depth_conv.conv.conv.weight']
    assert torch.equal(kernel, source[: len(kernel), :, 2:5, 2:5])


def test_weights_are_copies(space, supernet):
    weights = subnet_weights(supernet, space.layers(space.decode(LARGEST), 1000))
    weights['first_conv.conv.weight'].zero_()
    assert supernet['first_conv.conv.weight'].abs().sum() > 0


def test_a_supernet_of_another_space_is_an_error(space, supernet):
    wide = OFAMobileNetV3Space(1.0)
    layers = wide.layers(wide.decode(LARGEST), 1000)
    message = (
        r"'first_conv.conv.weight' of the supernet has the shape \(8, 3, 3, 3\); .*16"
    )
    with pytest.raises(ValueError, match=message):
        subnet_weights(supernet, layers)
    resnet = get_space('ofa-resnet50')
    layers = resnet.layers(resnet.decode({'d': 0, 'e': 0.2, 'w': 0}), 1000)
    with pytest.raises(
        ValueError, match=re.escape("no weight 'input_stem.0.conv.weight'")
    ):
        subnet_weights(supernet, layers)


def test_a_checkpoint_is_read_with_and_without_its_wrapper(tmp_path):
    weights = {'a': torch.ones(2)}
    for content in (weights, {'state_dict': weights, 'epoch': 3}):
        torch.save(content, tmp_path / 'net.pth')
        read = read_supernet(tmp_path / 'net.pth')
        assert list(read) == ['a']
        assert torch.equal(read['a'], weights['a'])


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    torch.save({'a': Trap(tmp_path / 'run')}, tmp_path / 'trap.pth')
    with pytest.raises(ValueError, match=r'trap\.pth holds the object posix\.mkdir'):
        read_supernet(tmp_path / 'trap.pth')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'holds a list, not a dict of weights'),
        ({'epoch': 1}, 'holds no tensors'),
    ],
)
def test_a_file_without_weights_is_an_error(tmp_path, content, message):
    torch.save(content, tmp_path / 'net.pth')
    with pytest.raises(ValueError, match=message):
        read_supernet(tmp_path / 'net.pth')


def test_a_missing_or_cut_off_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='no supernet checkpoint'):
        read_supernet(tmp_path / 'none.pth')
    torch.save({'a': torch.ones(1000)}, tmp_path / 'net.pth')
    content = (tmp_path / 'net.pth').read_bytes()
    for size in (0, 3, 1000):
        (tmp_path / 'net.pth').write_bytes(content[:size])
        with pytest.raises(ValueError, match='net.pth cannot be read as a checkpoint'):
            read_supernet(tmp_path / 'net.pth')
