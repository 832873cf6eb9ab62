# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks of the Once-for-All search spaces as backbones."""

from collections.abc import Mapping, Sequence

from mmengine.model import BaseModule
from mmengine.model.weight_init import update_init_info
from torch import Tensor

from hpml_mm.registry import MODELS

from . import SPACES, SearchSpace, get_space
from .chain import build_chain
from .supernet import read_supernet, subnet_weights


@MODELS.register_module()
class OFANet(BaseModule):
    """A network of a search space without its classifier, with features per stage.

    Feature 0 is that of the stem, 1 to 5 those of MobileNetV3's stages (1 to 6 of
    ProxylessNAS, 1 to 4 of ResNet-50). The last is the output of AIO-P's "body": the
    final expansion of MobileNetV3, the mixing layer of ProxylessNAS, the last block of
    ResNet-50. Strides are 2, 4, 8, 16, 16, 32, 32 for MobileNetV3, whose channels are
    16, 24, 40, 80, 112, 160 and 960 at width 1.

    It ends with the last feature that it returns: layers behind it are not built.
    Weights start as PyTorch's layers start them.

    Args:
        space: 'mbv3', 'pn' or 'resnet50', or a name that ``get_space`` takes.
        arch: The architecture in any form that the space reads.
        width: Multiplier of all channels of 'mbv3' (1.0 or 1.2, the first if None) or
            'pn' (1.3).
        out_indices: Which features are returned, in ascending order; negative ones
            count from the end.
        supernet: Checkpoint of a supernet, out of which ``init_weights`` cuts the
            weights. BatchNorm's statistics should be estimated anew afterwards.
        init_cfg: Initialisation as MMEngine takes it.

    Raises:
        ValueError: The space is unknown, the architecture is outside of it, ``width``
            is not one of the space, or there is no such feature.
    """

    def __init__(
        self,
        space: str,
        arch: str | Mapping | Sequence,
        width: float | None = None,
        out_indices: Sequence[int] = (-1,),
        supernet: str | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.space = _space(space, width)
        self.arch = self.space.decode(arch)
        self.supernet = supernet
        layers = self.space.layers(self.arch, self.space.num_classes)
        ends = {layer.stage: layer.path for layer in layers if layer.stage is not None}
        self.out_indices = _features(out_indices, len(ends))
        self._returned = {ends[index] for index in self.out_indices}
        last = self.out_indices[-1]
        self._layers = [
            layer for layer in layers if layer.stage is not None and layer.stage <= last
        ]
        net = build_chain(self._layers, self.space.bn_eps)
        for name, child in net.named_children():
            self.add_module(name, child)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, then load what ``supernet`` holds.

        Raises:
            FileNotFoundError: There is no such supernet.
            ValueError: It does not fit.
        """
        super().init_weights()
        if self.supernet is not None:
            weights = subnet_weights(read_supernet(self.supernet), self._layers)
            self.load_state_dict(weights)
            # Only while a model around this one keeps the list that it logs.
            if hasattr(self, '_params_init_info'):
                update_init_info(self, f'cut out of {self.supernet}')

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images (N, 3, H, W) to the chosen features (N, C, H / s, W / s)."""
        features = []
        for layer in self._layers:
            x = self.get_submodule(layer.path)(x)
            if layer.path in self._returned:
                features.append(x)
        return tuple(features)


def _space(name: str, width: float | None) -> SearchSpace:
    prefix = f'ofa-{name}-w'
    widths = {
        float(known.removeprefix(prefix)): known
        for known in SPACES
        if known.startswith(prefix)
    }
    if widths:
        chosen = next(iter(widths)) if width is None else width
        if chosen not in widths:
            raise ValueError(
                f'OFANet: width is {width}; {name!r} has '
                f'{" and ".join(map(str, widths))}'
            )
        return get_space(widths[chosen])
    if width is not None:
        raise ValueError(
            f"OFANet: width is {width}, yet only the spaces 'mbv3' and 'pn' have one; "
            f'leave it out for {name!r}'
        )
    return get_space('ofa-resnet50' if name == 'resnet50' else name)


def _features(indices: Sequence[int], count: int) -> tuple[int, ...]:
    chosen = tuple(index + count if index < 0 else index for index in indices)
    wrong = [index for index in chosen if not 0 <= index < count]
    if wrong or not chosen or list(chosen) != sorted(set(chosen)):
        raise ValueError(
            f'OFANet: out_indices are {list(indices)}; they must be among 0 to '
            f'{count - 1}, ascending'
        )
    return chosen
