# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training of a supernet on the features of a trained network."""

from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmpretrain.models import MobileNetV2
from torch import Tensor, nn
from torch.func import functional_call

from hpml_mm.predictor.spaces import Arch, get_space
from hpml_mm.predictor.spaces.chain import build_chain
from hpml_mm.predictor.spaces.ofa_mobile import OFAMobileSpace
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.predictor.spaces.supernet import subnet_weights
from hpml_mm.registry import MODELS
from projects.aiop.archs import extreme_arch

from .transplant import transplant as transplant_weights

# Of MobileNetV2's published weights in the Caffe way: pixels from -1 to 1.
_TEACHER_MEAN = _TEACHER_STD = 127.5
_TEACHER_CHANNELS = (16, 24, 32, 64, 96, 160, 320, 1280)
_SAMPLED_IN_VALIDATION = 4


@MODELS.register_module()
class SupernetDistiller(BaseModel):
    """Supernet of a mobile space of Once-for-All that learns MobileNetV2's features.

    All weights are those of the space's largest network; smaller ones take their
    parts of them. In each step the largest, the smallest and some sampled networks
    see the same images (the sandwich rule), and the first channels of each of their
    feature maps approach MobileNetV2's map of the same stride. A last map with fewer
    channels than MobileNetV2's is projected first. The loss is one minus the share of
    the variance that is explained, R^2, over all maps alike.

    Its checkpoints are supernets for ``OFANet(supernet=...)``: the teacher is in none.
    Running statistics of BatchNorm are those of the largest network.

    Args:
        space: Name of a space, such as 'ofa-mbv3-w1.0'.
        teacher: Checkpoint of MMPretrain's MobileNetV2, trained on pixels from -1 to 1.
        sampled: Networks that are sampled in each step.
        teacher_eps: Epsilon of the teacher's BatchNorm.
        transplant: True to start from the teacher's weights too.
        seed: Seed of the sampled networks.
        data_preprocessor: Config; its ``mean`` and ``std`` are those of the networks.

    Raises:
        ValueError: The space is another one, or the preprocessor has no mean and std.
    """

    def __init__(
        self,
        space: str,
        teacher: str,
        sampled: int = 2,
        teacher_eps: float = 1e-3,
        transplant: bool = True,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        home = get_space(space)
        if not isinstance(home, OFAMobileSpace):
            raise ValueError(
                f'SupernetDistiller: {space} is no mobile space of Once-for-All, such '
                'as ofa-mbv3-w1.0 or ofa-pn-w1.3'
            )
        if getattr(self.data_preprocessor, 'mean', None) is None:
            raise ValueError(
                'SupernetDistiller: data_preprocessor needs mean and std of the images'
            )
        self.space, self.sampled, self.transplant = home, sampled, transplant
        self.seed = seed
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        layers = home.layers(extreme_arch(home, max), home.num_classes)
        self._layers = [layer for layer in layers if layer.stage is not None]
        for name, child in build_chain(self._layers, home.bn_eps).named_children():
            self.add_module(name, child)
        self.maps = len({layer.stage for layer in self._layers})
        last = self._layers[-1].args[1]
        aimed = last < _TEACHER_CHANNELS[-1]
        self.aim = nn.Conv2d(last, _TEACHER_CHANNELS[-1], 1) if aimed else nn.Identity()
        # In a tuple, or its weights would be saved and trained.
        self._teacher = (_teacher(teacher, teacher_eps),)

    @property
    def teacher(self) -> MobileNetV2:
        """Network whose features are learned."""
        return self._teacher[0]

    def init_weights(self) -> None:
        """Initialise, and read the teacher's weights.

        Raises:
            FileNotFoundError: There is no such checkpoint.
        """
        super().init_weights()
        self.teacher.init_weights()
        if self.transplant:
            scale = self.data_preprocessor.std.flatten() / _TEACHER_STD
            transplant_weights(
                self.teacher.state_dict(), self._layers, self.state_dict(), scale
            )

    def train_step(
        self, data: dict | tuple | list, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Train the largest, the smallest and sampled networks on the same images."""
        # By the number of the step, so that a training that goes on draws others.
        rng = np.random.default_rng([self.seed, int(self.steps)])
        self.steps += 1
        archs = {
            'largest': extreme_arch(self.space, max),
            'smallest': extreme_arch(self.space, min),
            **{f'sampled{i}': self.space.sample(rng) for i in range(self.sampled)},
        }
        images = self.data_preprocessor(data, training=True)['inputs']
        targets = self._targets(images)
        logged: dict[str, Tensor] = {}
        for name, arch in archs.items():
            with optim_wrapper.optim_context(self):
                loss = 1 - self.r2(self.features(arch, images), targets).mean()
            optim_wrapper.backward(loss / len(archs))
            logged[f'loss_{name}'] = loss.detach()
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return {'loss': torch.stack(list(logged.values())).mean(), **logged}

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Any:
        """Run the networks.

        Args:
            inputs: (N, 3, H, W) images.
            data_samples: Not looked at; MMEngine passes them.
            mode: 'tensor' for the largest network's features, 'predict' for the R^2 of
                the largest, the smallest and sampled networks.

        Raises:
            ValueError: The mode is another one. By 'loss' several processes would
                train the largest network alone.
        """
        if mode not in ('tensor', 'predict'):
            raise ValueError(
                f'SupernetDistiller: mode={mode!r}; it trains in one process, by '
                'train_step: start it without a launcher'
            )
        largest = extreme_arch(self.space, max)
        if mode == 'tensor':
            return self.features(largest, inputs)
        targets = self._targets(inputs)
        rng = np.random.default_rng(0)
        drawn = [self.space.sample(rng) for _ in range(_SAMPLED_IN_VALIDATION)]
        found = {
            'largest': [largest],
            'smallest': [extreme_arch(self.space, min)],
            'sampled': drawn,
        }
        scores = {}
        for name, archs in found.items():
            # Each network's own statistics: those that are kept are the largest one's.
            maps = [
                self.r2(self.features(arch, inputs, batch_norm=True), targets)
                for arch in archs
            ]
            of_map = torch.stack(maps).mean(dim=0)
            scores[name] = float(of_map.mean())
            scores[f'{name}/last_map'] = float(of_map[-1])
        return [scores] * len(inputs)

    def features(
        self, arch: Arch, images: Tensor, batch_norm: bool = False
    ) -> tuple[Tensor, ...]:
        """Compute a network's feature maps by its part of the weights.

        Args:
            arch: Architecture.
            images: (N, 3, H, W) images.
            batch_norm: True for the batch's statistics outside of training too.
        """
        layers = self.space.layers(arch, self.space.num_classes)
        stages = [layer for layer in layers if layer.stage is not None]
        with torch.device('meta'):
            body = OFANet(
                self.space.name, self.space.encode(arch), out_indices=range(self.maps)
            )
        body.train(self.training or batch_norm)
        weights = self.state_dict(keep_vars=True)
        whole = arch == extreme_arch(self.space, max) and not batch_norm
        # The largest network's are not copied, so that its statistics are kept.
        if whole:
            own = {name: weights[name] for name in body.state_dict()}
        else:
            own = subnet_weights(weights, stages)
        return functional_call(body, own, (images,))

    def r2(self, features: tuple[Tensor, ...], targets: list[Tensor]) -> Tensor:
        """Share of the targets' variance that each feature map explains, (maps,)."""
        *maps, last = features
        explained = []
        for found, target in zip([*maps, self.aim(last)], targets, strict=True):
            wanted = min(found.shape[1], target.shape[1])
            target = target[:, :wanted]
            error = (found[:, :wanted] - target).square().mean()
            # Of each channel over images and places.
            explained.append(1 - error / target.var(dim=(0, 2, 3)).mean())
        return torch.stack(explained)

    @torch.no_grad()
    def _targets(self, images: Tensor) -> list[Tensor]:
        """Teacher's map for each of the networks' maps."""
        processor = self.data_preprocessor
        if not self.teacher.is_init:  # the model was not initialised, but loaded
            self.teacher.init_weights()
        pixels = images * processor.std + processor.mean
        maps = self.teacher.to(images.device)((pixels - _TEACHER_MEAN) / _TEACHER_STD)
        return [*maps[: self.maps - 1], maps[-1]]


def _teacher(checkpoint: str, eps: float) -> MobileNetV2:
    init = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
    teacher = MobileNetV2(
        out_indices=range(len(_TEACHER_CHANNELS)),
        norm_cfg=dict(type='BN', eps=eps),
        init_cfg=init,
    )
    teacher.requires_grad_(False)
    teacher.eval()  # returns nothing
    return teacher
