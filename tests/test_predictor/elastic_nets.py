# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Supernets with random weights that run as any of their networks.

As in Once-for-All's code, all weights are those of the largest network, and each layer
takes the part that it needs while it runs. Names are those of its checkpoints.
"""

import re

import torch
from torch import Tensor
from torch.nn import functional as F

from hpml_mm.predictor.spaces import SearchSpace
from hpml_mm.predictor.spaces.blocks import make_divisible

KERNELS = (7, 5, 3)


def random_supernet(space: SearchSpace, largest: dict, elastic: str) -> dict:
    """A checkpoint's weights.

    Args:
        space: Its search space.
        largest: Dictionary form of the largest network.
        elastic: Pattern of the layers that can change, whose parts are wrapped.
    """
    torch.manual_seed(0)
    net = space.build(space.decode(largest))
    state = {}
    for name, weight in net.state_dict().items():
        if weight.is_floating_point():
            scale = 1 / max(weight[0].numel(), 1) ** 0.5 if weight.dim() > 1 else 0.5
            weight = torch.randn_like(weight) * scale
            # Variances are positive, and gammas better had no zeros.
            weight = weight.abs() + 0.5 if 'running_var' in name else weight
        if re.match(elastic, name):
            name = re.sub(r'(conv|bn|linear)\.(\w+)$', r'\1.\1.\2', name)
        name = re.sub(r'^(blocks\.\d+)\.conv\.', r'\1.mobile_inverted_conv.', name)
        state[name] = weight
    for name in list(state):
        if name.endswith('depth_conv.conv.conv.weight'):
            for large, small in zip(KERNELS, KERNELS[1:], strict=False):
                place = name.removesuffix('conv.weight')
                matrix = torch.randn(small**2, small**2) / small
                state[f'{place}{large}to{small}_matrix'] = matrix
    return state


class Elastic:
    """Runs a supernet's weights as one of its networks, up to the end of its body.

    Args:
        state: All weights.
        eps: Of BatchNorm.
    """

    def __init__(self, state: dict[str, Tensor], eps: float = 1e-5) -> None:
        self.state = state
        self.eps = eps

    def conv(self, x: Tensor, name: str, out: int | None = None, stride: int = 1):
        weight = self.state[f'{name}.weight'][:out, : x.shape[1]]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def norm(self, x: Tensor, name: str) -> Tensor:
        parts = ('running_mean', 'running_var', 'weight', 'bias')
        values = [self.state[f'{name}.{part}'][: x.shape[1]] for part in parts]
        return F.batch_norm(x, *values, eps=self.eps)

    def depthwise(self, x: Tensor, name: str, kernel: int, stride: int) -> Tensor:
        weight = self.state[f'{name}.conv.weight'][: x.shape[1]]
        for large, small in zip(KERNELS, KERNELS[1:], strict=False):
            if large <= kernel:
                break
            middle = weight[:, :, 1:-1, 1:-1].reshape(-1, small**2)
            matrix = self.state[f'{name}.{large}to{small}_matrix']
            weight = F.linear(middle, matrix).view(-1, 1, small, small)
        return F.conv2d(x, weight, None, stride, kernel // 2, groups=x.shape[1])

    def gate(self, x: Tensor, name: str) -> Tensor:
        reduced = make_divisible(x.shape[1] // 4)
        weight, bias = (self.state[f'{name}.reduce.{w}'] for w in ('weight', 'bias'))
        y = x.mean((2, 3), keepdim=True)
        y = F.conv2d(y, weight[:reduced, : x.shape[1]], bias[:reduced]).relu()
        weight, bias = (self.state[f'{name}.expand.{w}'] for w in ('weight', 'bias'))
        y = F.conv2d(y, weight[: x.shape[1], :reduced], bias[: x.shape[1]])
        return x * F.relu6(y + 3) / 6

    def inverted(
        self, x: Tensor, index: int, kernel: int, expansion: int, stride: int, act
    ) -> Tensor:
        place = f'blocks.{index}.mobile_inverted_conv'
        middle = make_divisible(x.shape[1] * expansion)
        y = self.conv(x, f'{place}.inverted_bottleneck.conv.conv', middle)
        y = act(self.norm(y, f'{place}.inverted_bottleneck.bn.bn'))
        y = self.depthwise(y, f'{place}.depth_conv.conv', kernel, stride)
        y = act(self.norm(y, f'{place}.depth_conv.bn.bn'))
        if f'{place}.depth_conv.se.fc.reduce.weight' in self.state:
            y = self.gate(y, f'{place}.depth_conv.se.fc')
        y = self.conv(y, f'{place}.point_linear.conv.conv')
        y = self.norm(y, f'{place}.point_linear.bn.bn')
        return x + y if stride == 1 and x.shape == y.shape else y

    def first_block(self, x: Tensor, act, shortcut: bool) -> Tensor:
        place = 'blocks.0.mobile_inverted_conv'
        weight = self.state[f'{place}.depth_conv.conv.weight']
        y = F.conv2d(x, weight, None, 1, 1, groups=x.shape[1])
        y = act(self.norm(y, f'{place}.depth_conv.bn'))
        y = self.conv(y, f'{place}.point_linear.conv')
        y = self.norm(y, f'{place}.point_linear.bn')
        return x + y if shortcut else y

    def mobile(self, x: Tensor, form: dict, strides: tuple, acts: list, slots: int = 4):
        """The searched stages of an inverted-bottleneck network."""
        for stage, (depth, stride) in enumerate(zip(form['d'], strides, strict=True)):
            for block in range(depth):
                slot = stage * slots + block
                step = stride if block == 0 else 1
                kernel, expansion = form['ks'][slot], form['e'][slot]
                x = self.inverted(x, slot + 1, kernel, expansion, step, acts[stage])
        return x

    def bottleneck(
        self, x: Tensor, index: int, expansion: float, out: int, stride: int
    ):
        place = f'blocks.{index}'
        middle = make_divisible(round(out * expansion))
        residual = x
        if f'{place}.downsample.conv.conv.weight' in self.state:
            residual = F.avg_pool2d(x, stride, stride, ceil_mode=True)
            residual = self.conv(residual, f'{place}.downsample.conv.conv', out)
            residual = self.norm(residual, f'{place}.downsample.bn.bn')
        y = self.conv(x, f'{place}.conv1.conv.conv', middle)
        y = self.norm(y, f'{place}.conv1.bn.bn').relu()
        y = self.conv(y, f'{place}.conv2.conv.conv', middle, stride)
        y = self.norm(y, f'{place}.conv2.bn.bn').relu()
        y = self.conv(y, f'{place}.conv3.conv.conv', out)
        return (self.norm(y, f'{place}.conv3.bn.bn') + residual).relu()
