# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The original HRNet code's names, shapes and arithmetic, from its structure.

Nothing here looks at what MMPose calls or does: the tests compare the two.
"""

import math

import torch
from torch.nn import functional as F

STATISTICS = ('weight', 'bias', 'running_mean', 'running_var')
# Convolutions: 2 in the stem, 13 in layer1, 2 + 1 + 1 in the transitions. A module of b
# branches has 8 b, b (b - 1) / 2 to higher resolutions, and 1, 4 or 10 to lower ones,
# one a step. The last module of all has the 3 to the highest resolution only.
CONVOLUTIONS = 2 + 13 + 4 + (16 + 1 + 1) + 4 * (24 + 3 + 4) + 2 * (32 + 6 + 10) + 35
WEIGHTS = CONVOLUTIONS * 5 + 2  # BatchNorm has four; the last one has a bias instead


def conv_bn(conv, bn, outputs, inputs, kernel):
    yield f'{conv}.weight', (outputs, inputs, kernel, kernel)
    for name in STATISTICS:
        yield f'{bn}.{name}', (outputs,)
    yield f'{bn}.num_batches_tracked', ()


def pair(place, *shape):
    """A convolution and a BatchNorm in a sequence."""
    return conv_bn(f'{place}.0', f'{place}.1', *shape)


def block(place, *layers):
    for number, layer in enumerate(layers, 1):
        yield from conv_bn(f'{place}.conv{number}', f'{place}.bn{number}', *layer)


def module(place, channels, lower_outputs):
    """Four blocks a branch, then every branch from every other."""
    for branch, width in enumerate(channels):
        for number in range(4):
            layer = (width, width, 3)
            yield from block(f'{place}.branches.{branch}.{number}', layer, layer)
    for to, outputs in enumerate(channels if lower_outputs else channels[:1]):
        for source, inputs in enumerate(channels):
            fuse = f'{place}.fuse_layers.{to}.{source}'
            if source > to:
                yield from pair(fuse, outputs, inputs, 1)
            for step in range(to - source):
                last = step == to - source - 1
                shape = (outputs if last else inputs, inputs, 3)
                yield from pair(f'{fuse}.{step}', *shape)


def network(width, lower_outputs=False):
    """(name, shape) of the network, without what stands behind it."""
    yield from conv_bn('conv1', 'bn1', 64, 3, 3)
    yield from conv_bn('conv2', 'bn2', 64, 64, 3)
    for number in range(4):
        inputs = 256 if number else 64
        layers = ((64, inputs, 1), (64, 64, 3), (256, 64, 1))
        yield from block(f'layer1.{number}', *layers)
    yield from pair('layer1.0.downsample', 256, 64, 1)
    yield from pair('transition1.0', width, 256, 3)
    yield from pair('transition1.1.0', 2 * width, 256, 3)
    yield from pair('transition2.2.0', 4 * width, 2 * width, 3)
    yield from pair('transition3.3.0', 8 * width, 4 * width, 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        channels = [width * 2**branch for branch in range(stage)]
        for number in range(modules):
            whole = lower_outputs or (stage, number) != (4, 2)
            yield from module(f'stage{stage}.{number}', channels, whole)


def made_up(layers, seed=0):
    """A state dict with numbers that keep a network's activations finite."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in layers:
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(7)
            continue
        values = torch.rand(shape, generator=generator)
        scale = 1.0 if len(shape) < 2 else 2 / math.prod(shape[1:])
        if len(shape) == 4:
            values = values - 0.5
        state[name] = values * scale
    return state


def pose_checkpoint(width=32, keypoints=17):
    final = [('final_layer.weight', (keypoints, width, 1, 1))]
    layers = [*network(width), *final, ('final_layer.bias', (keypoints,))]
    return made_up(layers)


class OriginalHRNet:
    """The original's network, computed straight from its weights, in evaluation."""

    def __init__(self, state):
        self.state = state

    def __call__(self, images):
        x = self.layer(images, 'conv1', 'bn1', 2)
        x = self.layer(x, 'conv2', 'bn2', 2)
        for number in range(4):
            x = self.residual(x, f'layer1.{number}', 3)
        branches = [
            self.pair(x, 'transition1.0'),
            self.pair(x, 'transition1.1.0', 2),
        ]
        for stage, modules in ((2, 1), (3, 4), (4, 3)):
            if stage > 2:
                new = f'transition{stage - 1}.{stage - 1}.0'
                branches.append(self.pair(branches[-1], new, 2))
            for number in range(modules):
                outputs = 1 if (stage, number) == (4, 2) else stage
                branches = self.module(branches, f'stage{stage}.{number}', outputs)
        weight, bias = (self.state[f'final_layer.{n}'] for n in ('weight', 'bias'))
        return F.conv2d(branches[0], weight, bias)

    def layer(self, x, conv, bn, stride=1, relu=True):
        kernel = self.state[f'{conv}.weight']
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        scale, shift, mean, variance = (self.state[f'{bn}.{n}'] for n in STATISTICS)
        x = F.batch_norm(x, mean, variance, scale, shift, eps=1e-5)
        return x.relu() if relu else x

    def pair(self, x, place, stride=1, relu=True):
        return self.layer(x, f'{place}.0', f'{place}.1', stride, relu)

    def residual(self, x, place, layers):
        y = x
        for n in range(1, layers + 1):
            y = self.layer(y, f'{place}.conv{n}', f'{place}.bn{n}', relu=n < layers)
        if f'{place}.downsample.0.weight' in self.state:
            x = self.pair(x, f'{place}.downsample', relu=False)
        return (x + y).relu()

    def fused(self, x, place, to, source):
        if source > to:
            x = self.pair(x, place, relu=False)
            return F.interpolate(x, scale_factor=2 ** (source - to), mode='nearest')
        for step in range(to - source):
            x = self.pair(x, f'{place}.{step}', 2, relu=step < to - source - 1)
        return x

    def module(self, branches, place, outputs):
        branches = list(branches)
        for number in range(len(branches)):
            for unit in range(4):
                name = f'{place}.branches.{number}.{unit}'
                branches[number] = self.residual(branches[number], name, 2)
        return [
            sum(
                self.fused(x, f'{place}.fuse_layers.{to}.{source}', to, source)
                for source, x in enumerate(branches)
            ).relu()
            for to in range(outputs)
        ]
