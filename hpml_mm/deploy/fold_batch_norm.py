# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fold BatchNorm into the preceding layer, wherever the two are in the module tree."""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


def fold_batch_norms_(network: nn.Module, example: Tensor) -> int:
    """Fold every BatchNorm that can be into the layer before it, in place.

    The network is run once on ``example``. A BatchNorm is folded where its input is
    the very tensor that a convolution or linear layer gave, and nothing else takes
    that tensor: how the modules are nested does not matter. What cannot be folded
    stays: a layer or norm that is called twice, one that shares its weights or
    computes them anew (``ConvWS2d``, parametrizations), a norm without running
    statistics. A folded BatchNorm becomes an ``Identity``, the layer keeps its name.

    The arithmetic is PyTorch's (:mod:`torch.nn.utils.fusion`).

    Args:
        network: Put into evaluation mode.
        example: Input of shape (N, C, H, W) on the network's device; two images do.

    Returns:
        How many were folded.
    """
    network.eval()
    pairs = list(_find_pairs(network, example))
    for layer, norm in pairs:
        _fold(layer, norm)
        for name, module in list(network.named_modules(remove_duplicate=False)):
            if module is norm:
                network.set_submodule(name, nn.Identity())
    return len(pairs)


def folded_copy(network: nn.Module, example: Tensor) -> nn.Module:
    """Copy a network for inference: float32, on the CPU, BatchNorms folded.

    Weights are in PyTorch's usual memory format again: for those in channels-last, an
    exporter writes transpositions.

    Args:
        network: Stays as it is.
        example: As for :func:`fold_batch_norms_`, on the CPU.
    """
    copied: Any = copy.deepcopy(network).cpu().float()
    copied = copied.to(memory_format=torch.contiguous_format)  # not in its type hints
    fold_batch_norms_(copied, example)
    return copied.requires_grad_(False)


class _Watch(TorchFunctionMode):
    """Mode that records which functions used each tensor, and its inputs.

    ``taken`` counts, by the id of a tensor, the functions that took it and gave a
    tensor; those that only ask for its shape are none. ``made_with`` holds the ids of
    the tensors that a tensor was made of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: Counter[int] = Counter()
        self.made_with: dict[int, set[int]] = {}
        self._alive: list[Any] = []  # or another tensor would get the id of one

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        made = _tensors(result)
        if made:
            took = _tensors((args, kwargs))
            self.taken.update({id(tensor) for tensor in took})
            for tensor in made:
                self.made_with[id(tensor)] = {id(one) for one in took}
            self._alive += [*took, *made]
        return result


class _Calls:
    """Inputs and outputs of each layer and each norm, by forward hooks."""

    def __init__(self, network: nn.Module) -> None:
        self.times: Counter[nn.Module] = Counter()
        self.layer_of: dict[int, nn.Module] = {}
        self.input_of: dict[_BatchNorm, Tensor] = {}
        self._handles = []
        for module in network.modules():
            if isinstance(module, _ConvNd | nn.Linear):
                self._handles.append(module.register_forward_hook(self._layer))
            elif isinstance(module, _BatchNorm):
                self._handles.append(module.register_forward_hook(self._norm))

    def _layer(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.times[module] += 1
        self.layer_of[id(output)] = module

    def _norm(self, module: _BatchNorm, inputs: tuple, output: Tensor) -> None:
        self.times[module] += 1
        self.input_of[module] = inputs[0]

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()


def _find_pairs(
    network: nn.Module, example: Tensor
) -> Iterator[tuple[nn.Module, _BatchNorm]]:
    calls, watch = _Calls(network), _Watch()
    try:
        with torch.no_grad(), watch:
            outputs = network(example)
    finally:
        calls.stop()
    given = {id(tensor) for tensor in _tensors(outputs)}
    owners = Counter(id(p) for m in network.modules() for p in m._parameters.values())
    for norm, tensor in calls.input_of.items():
        layer = calls.layer_of.get(id(tensor))
        if layer is None or id(tensor) in given or watch.taken[id(tensor)] != 1:
            continue
        if calls.times[layer] != 1 or calls.times[norm] != 1:
            continue
        if owners[id(layer.weight)] != 1:
            continue
        # Else the layer computes the weights that it uses.
        plain = id(layer.weight) in watch.made_with.get(id(tensor), ())
        if plain and _can_fold(layer, norm, tensor):
            yield layer, norm


def _can_fold(layer: nn.Module, norm: _BatchNorm, between: Tensor) -> bool:
    if norm.running_mean is None or is_parametrized(layer) or is_parametrized(norm):
        return False
    if isinstance(layer, nn.Linear):
        # With a third axis, the norm's channels would be another one.
        return between.dim() == 2 and norm.affine
    return not (isinstance(layer, _ConvTransposeNd) and layer.groups > 1)


def _fold(layer: Any, norm: Any) -> None:
    pair = (
        *(layer.weight, layer.bias),
        *(norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias),
    )
    if isinstance(layer, nn.Linear):
        layer.weight, layer.bias = fuse_linear_bn_weights(*pair)
    else:
        layer.weight, layer.bias = fuse_conv_bn_weights(
            *pair, transpose=isinstance(layer, _ConvTransposeNd)
        )


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
