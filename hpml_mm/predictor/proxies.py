# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Zero-cost proxies: scores of an untrained network from one batch of images.

Definitions are those of the papers and of their published code, `zero-cost-nas`_ by
Abdelfattah et al. (ICLR 2021, arXiv:2101.08134) and `nas-without-training`_ by Mellor
et al. Higher is said to be better. All work on a copy of the network and give the same
number again: batch normalisation takes the statistics of the batch, as in the published
code, and what draws random numbers, such as dropout, is switched off.

.. _zero-cost-nas: https://github.com/SamsungLabs/zero-cost-nas
.. _nas-without-training: https://github.com/BayesWatch/nas-without-training
"""

import copy
import math
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hpml_mm.predictor.graphs.tracing.ops import plain_name
from hpml_mm.predictor.graphs.tracing.trace import raw_output

Run = Callable[[nn.Module, Tensor], Any]

#: Images of noise.
IMAGES = 8
# ReLU, and what the published code takes for one by its name.
_RECTIFIERS = frozenset(
    ['relu', 'hardtanh', 'leaky_relu', 'prelu', 'prelu_kernel', 'rrelu_with_noise']
)
# Added to eigenvalues, so that the logarithm of 0 is one of a small number.
_SMALL = 1e-5


def synflow(module: nn.Module, images: Tensor, run: Run = raw_output) -> float:
    """Sum ``|w * dR/dw|`` over the weights of convolutions and linear layers.

    Tanaka et al., "Pruning neural networks without any data by iteratively conserving
    synaptic flow" (NeurIPS 2020), equation 2, with R the sum of the outputs for one
    image of ones when all parameters are replaced by their absolute values. As in
    zero-cost-nas it is computed in float64, and batch normalisation is taken out.

    Args:
        module: The network; it stays as it is.
        images: A batch, (N, C, H, W), of which only the shape of an image is used.
        run: Function that runs the network.

    Raises:
        ValueError: The result is no finite number, or 0 for all weights.
    """
    net = _prepared(module).double()
    for part in net.modules():
        if isinstance(part, _BatchNorm):
            _replace(part, nn.Identity.forward)
        # Some networks make a tensor of float32 themselves.
        part.register_forward_pre_hook(_doubled)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.abs_()
    image = torch.ones_like(images[:1], dtype=torch.float64)
    return _saliency(net, _total(run(net, image)), 'synflow')


def snip(
    module: nn.Module,
    images: Tensor,
    targets: Any,
    loss: Callable[[Any, Any], Tensor] = nn.functional.cross_entropy,
    run: Run = raw_output,
) -> float:
    """Sum ``|w * dL/dw|`` over the weights of convolutions and linear layers.

    Lee et al., "SNIP: Single-shot network pruning based on connection sensitivity"
    (ICLR 2019), equation 4 without its normalisation, as in zero-cost-nas: the
    derivative by a mask of ones on the weights is w * dL/dw.

    Args:
        module: The network; it stays as it is.
        images: A batch, (N, C, H, W).
        targets: What ``loss`` compares the output with.
        loss: Function of output and targets.
        run: Function that runs the network.

    Raises:
        ValueError: The result is no finite number, or 0 for all weights.
    """
    net = _prepared(module)
    return _saliency(net, loss(_single(run(net, images.clone())), targets), 'snip')


def naswot(module: nn.Module, images: Tensor, run: Run = raw_output) -> float:
    """Logarithm of the determinant of the kernel of Hamming distances.

    Mellor et al., "Neural architecture search without training" (ICML 2021), equation
    2: entry (i, j) is the number of rectified units less the number of those that are
    on for one of the images i and j alone. Units are inputs of (leaky, parametric)
    ReLU and ReLU6, wherever they are called; smooth activations have none.

    Args:
        module: The network; it stays as it is.
        images: A batch, (N, C, H, W).
        run: Function that runs the network.

    Returns:
        Minus infinity if two images switch on the same units.

    Raises:
        ValueError: The network has no such units.
    """
    codes = _Codes(len(images))
    with torch.no_grad(), codes:
        run(_prepared(module), images.clone())
    if not codes.kernel.any():
        raise ValueError('naswot: the network has no ReLU, and so no codes to compare')
    return float(np.linalg.slogdet(codes.kernel)[1])


def jacov(module: nn.Module, images: Tensor, run: Run = raw_output) -> float:
    """Score of how differently the network reacts to images, by its Jacobian.

    Mellor et al., arXiv:2006.04647 version 1; 'jacob_cov' of zero-cost-nas:
    -sum(log(v + k) + 1 / (v + k)) with v the eigenvalues of the matrix of correlations
    between the images' gradients of the sum of outputs, and k = 1e-5.

    Args:
        module: The network; it stays as it is.
        images: A batch, (N, C, H, W).
        run: Function that runs the network.

    Raises:
        ValueError: The gradient of an image is constant, so that it correlates with
            none.
    """
    images = images.detach().requires_grad_()
    total = _total(run(_prepared(module), images.clone()))
    (slopes,) = torch.autograd.grad(total, images)
    rows = slopes.flatten(1).double().cpu().numpy()
    if not (np.ptp(rows, axis=1) > 0).all():
        raise ValueError('jacov: the gradient of an image is the same at all pixels')
    values = np.linalg.eigvalsh(np.corrcoef(rows)).clip(min=0) + _SMALL
    return float(-(np.log(values) + 1 / values).sum())


def noise_proxies(
    module: nn.Module, shape: Sequence[int], seed: int = 0
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute all proxies on images of noise, and labels at random for ``snip``.

    Args:
        module: The network; it stays as it is.
        shape: Channels, height and width of its images.
        seed: Seed of images and labels.

    Returns:
        Each proxy by name, None where the network has none; and the reason for that.
    """
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(IMAGES, *shape, generator=random)

    def labelled(net: nn.Module, images: Tensor) -> float:
        with torch.no_grad():
            logits = _single(raw_output(_prepared(net), images.clone()))
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError('snip: labels at random are for classifiers alone')
        size = (IMAGES,)
        labels = torch.randint(logits.shape[1], size, generator=random)
        return snip(net, images, labels)

    functions: dict[str, Callable[[nn.Module, Tensor], float]]
    functions = {'synflow': synflow, 'snip': labelled, 'naswot': naswot, 'jacov': jacov}
    found: dict[str, float | None] = dict.fromkeys(functions)
    reasons = {}
    for name, function in functions.items():
        try:
            value = function(module, images)
            if value == -math.inf:
                raise ValueError(f'{name}: two images switch on the same units')
            found[name] = value
        except ValueError as error:
            reasons[name] = str(error)
    return found, reasons


class _Codes(TorchDispatchMode):
    """Adds up the kernel of Hamming distances of all rectifiers that run."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.kernel = np.zeros((count, count))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if plain_name(func._schema.name) in _RECTIFIERS:
            on = (args[0] > 0).reshape(len(self.kernel), -1).double()
            off = 1 - on
            # Numbers of units that are on for both images, and off for both.
            self.kernel += (on @ on.T + off @ off.T).cpu().numpy()
        return func(*args, **(kwargs or {}))


def _prepared(module: nn.Module) -> nn.Module:
    """Copy a network, of which batch normalisation alone is in training mode."""
    net = copy.deepcopy(module).eval().requires_grad_()
    net.zero_grad()
    for part in net.modules():
        if isinstance(part, _BatchNorm):
            part.train()
        if isinstance(part, nn.SyncBatchNorm):  # of a GPU alone
            _replace(part, _BatchNorm.forward)
    return net


def _replace(part: nn.Module, forward: Callable[..., Tensor]) -> None:
    """Let a module run by the method of another class."""
    part.forward = types.MethodType(forward, part)


def _doubled(part: nn.Module, inputs: Any) -> Any:
    def double(value: Any) -> Any:
        whole = not isinstance(value, Tensor) or not value.is_floating_point()
        return value if whole else value.double()

    return tree_map(double, inputs)


def _total(output: Any) -> Tensor:
    """Sum of all outputs."""
    floats = [x for x in tree_leaves(output) if torch.is_floating_point(x)]
    return torch.stack([x.sum() for x in floats]).sum()


def _single(output: Any) -> Any:
    """Output of a network that returns one tensor in a tuple."""
    found = tree_leaves(output)
    return found[0] if len(found) == 1 else output


def _saliency(net: nn.Module, objective: Tensor, name: str) -> float:
    layers = [m for m in net.modules() if isinstance(m, _ConvNd | nn.Linear)]
    # A weight may be used by several layers.
    weights = list(dict.fromkeys(layer.weight for layer in layers))
    slopes = torch.autograd.grad(objective, weights, allow_unused=True)
    pairs = zip(weights, slopes, strict=True)
    found = sum(float((w * g).detach().abs().sum()) for w, g in pairs if g is not None)
    if not np.isfinite(found):
        raise ValueError(f'{name}: {found} is no finite number')
    if not found:
        raise ValueError(
            f'{name}: no weight changes the output; an activation at its end, such as '
            'tanh, is saturated'
        )
    return found
