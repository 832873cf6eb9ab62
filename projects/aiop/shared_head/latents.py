# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Feature maps of many networks, as a mean and a standard deviation for each image.

AIO-P's cache of latents: a shared head is trained on samples of them instead of on the
maps of one network.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hpml_mm.predictor.spaces import Arch, SearchSpace
from hpml_mm.registry import TRANSFORMS
from hpml_mm.utils.files import write_atomic
from projects.aiop.archs import ArchPool

from .bodies import estimate_statistics, subnet_body

MEAN, STD = 'mean', 'std'


def latent_key(sample: int, flipped: bool, part: str) -> str:
    """Name of a tensor in a cache."""
    return f'{sample}/{"flipped" if flipped else "plain"}/{part}'


@torch.no_grad()
def latents(
    batches: Iterable[tuple[list[int], Tensor, Tensor]],
    space: SearchSpace,
    supernet: Mapping[str, Tensor],
    per_bin: int = 2,
    seed: int = 0,
    calibration: Tensor | None = None,
) -> Iterator[tuple[str, Tensor]]:
    """Compute the latents of images and of their mirror images.

    After each batch the oldest of the networks is replaced by a new one; AIO-P's
    batches are single images.

    Args:
        batches: Numbers of samples, their (N, 3, H, W) images as networks get them, and
            those of the mirrored photographs.
        space: One of Once-for-All's spaces.
        supernet: State dictionary of the supernet.
        per_bin: Networks of each of the five depth bins.
        seed: Seed of the networks.
        calibration: (M, 3, H, W) images on which each network's BatchNorm is estimated;
            None for the supernet's own statistics.

    Yields:
        Name and half-precision tensor (C, h, w): mean over the networks and unbiased
        standard deviation, element by element.
    """

    def body(arch: Arch) -> torch.nn.Module:
        net = subnet_body(space, arch, supernet)
        if calibration is not None:
            estimate_statistics(net, calibration)
        return net

    pool = ArchPool(space, per_bin, np.random.default_rng(seed))
    bodies = [body(arch) for arch in pool.archs]
    for samples, images, mirrored in batches:
        for flipped, seen in ((False, images), (True, mirrored)):
            maps = torch.stack([net(seen)[-1] for net in bodies])
            pairs = zip(samples, maps.mean(0), maps.std(0), strict=True)
            for sample, mean, std in pairs:
                yield latent_key(sample, flipped, MEAN), mean.half()
                yield latent_key(sample, flipped, STD), std.half()
        bodies = [*bodies[1:], body(pool.step())]


def save_latents(path: Path, found: Iterable[tuple[str, Tensor]]) -> int:
    """Write latents into one file, whole or not at all.

    Returns:
        Number of images, mirror images not counted.
    """
    tensors = {name: tensor.contiguous() for name, tensor in found}
    write_atomic(path, save(tensors))
    return len(tensors) // 4


@TRANSFORMS.register_module()
class LoadLatent(BaseTransform):
    """Puts the latent of a sample in the place of its image.

    Its z is mean + zeta * std with zeta from N(0, 1), element by element and anew each
    time (AIO-P). A sample that was flipped before gets the latent of its mirror image.

    Required Keys:

    - id
    - flip (optional)

    Modified Keys:

    - img: float32 of shape (h, w, C)

    Args:
        cache: File of latents.
        sampled: False for the mean alone, as validation wants.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no cache of latents, or lacks a sample.
    """

    def __init__(self, cache: str, sampled: bool = True) -> None:
        self.cache, self.sampled = Path(cache), sampled
        if not self.cache.is_file():
            raise FileNotFoundError(
                f'there is no cache of latents {cache}: '
                'python -m projects.aiop.shared_head makes one'
            )

    def transform(self, results: dict) -> dict:
        """Replace ``img``."""
        flipped = bool(results.get('flip', False))
        mean, std = self._read(results['id'], flipped)
        if self.sampled:
            mean = mean + np.random.standard_normal(mean.shape).astype('f4') * std
        results['img'] = np.ascontiguousarray(mean.transpose(1, 2, 0))
        return results

    def _read(self, sample: int, flipped: bool) -> tuple[np.ndarray, np.ndarray]:
        try:
            with safe_open(self.cache, 'numpy') as file:
                mean, std = (
                    file.get_tensor(latent_key(sample, flipped, part)).astype('f4')
                    for part in (MEAN, STD)
                )
        except SafetensorError as error:
            raise ValueError(
                f'{self.cache} has no latent of sample {sample}: {error}; it is of '
                'another data set or damaged'
            ) from error
        return mean, std
