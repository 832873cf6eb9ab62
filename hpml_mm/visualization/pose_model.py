# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trained pose model with a data set, for drawing its predictions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import DataLoader, Subset

from hpml_mm.config.overrides import load_config
from hpml_mm.engine.weights import load_fitting
from hpml_mm.utils.model import build_model

from .pose_case import PoseCase, WorstCases, heatmaps_given, read_cases


def check_request(out: str, num: int) -> None:
    """Refuse requests that cannot be drawn, before models are loaded."""
    if not cv2.haveImageWriter(out):
        raise ValueError(f'--out {out}: no kind of picture; end it in .png')
    if num < 1:
        raise ValueError(f'--num {num}: draw at least one object')


class PoseModel:
    """The model of a config, the weights of a checkpoint and one split of the data.

    Objects come in the order of the data set, each with its ground-truth box.

    Args:
        config: Config file, or ``package::name``.
        checkpoint: Weights that fit it.
        split: ``'val'`` or ``'test'``, whose data loader to take.
        options: Overrides of the config by dotted key.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the config or the weights are not right, or the split is absent.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        split: str = 'val',
        options: Mapping[str, Any] | None = None,
    ) -> None:
        cfg = load_config(config, options)
        self.name = checkpoint
        self._loader = cfg.get(f'{split}_dataloader')
        if self._loader is None:
            raise ValueError(f'{config} has no {split}_dataloader: nothing to draw')
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            self.dataset = DATASETS.build(self._loader['dataset'])
        self.model = cast(BaseModel, build_model(cfg))
        self.meta = self.dataset.metainfo
        if 'keypoint_id2name' not in self.meta:
            raise ValueError(f'{config}: the data of {split} has no keypoints to draw')
        load_fitting(self.model, checkpoint)
        self.model.to(get_device()).eval()

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def keypoints(self) -> list[str]:
        """Names of the keypoints in their order."""
        names = self.meta['keypoint_id2name']
        return [names[index] for index in range(len(names))]

    @torch.no_grad()
    def cases(self, indices: Sequence[int]) -> Iterator[PoseCase]:
        """Predict some objects, in the given order.

        Args:
            indices: Places in the data set.

        Raises:
            ValueError: See :func:`~hpml_mm.visualization.pose_case.read_cases`.
        """
        loader = DataLoader(
            Subset(self.dataset, indices),
            batch_size=self._loader.get('batch_size') or 1,
            num_workers=self._loader.get('num_workers', 0),
            collate_fn=pseudo_collate,
        )
        with heatmaps_given(self.model):
            for batch in loader:
                predicted = self.model.test_step(batch)
                yield from read_cases(predicted, self.meta['sigmas'])

    def at(self, indices: Sequence[int]) -> list[PoseCase]:
        """Predict the objects at given places of the data, in the given order.

        Raises:
            ValueError: If there is no such place.
        """
        for index in indices:
            if not 0 <= index < len(self):
                raise ValueError(
                    f'no object {index}: the data of {self.name} holds 0 to '
                    f'{len(self) - 1}'
                )
        return [case.to_keep() for case in self.cases(indices)]

    def spaced(self, num: int) -> list[PoseCase]:
        """Predict objects evenly spaced over the data, or all where it has no more."""
        places = np.linspace(0, len(self) - 1, min(num, len(self)))
        return self.at(places.round().astype(int).tolist())

    def worst(self, num: int) -> tuple[list[PoseCase], list[float]]:
        """Find the objects of the lowest OKS, and the OKS of all that have one."""
        worst, similar = WorstCases(num), list[float]()
        for case in self.cases(range(len(self))):
            worst.offer(case)
            if not np.isnan(case.oks):
                similar.append(case.oks)
        return worst.kept, similar

    def like(self, other: 'PoseModel', cases: Sequence[PoseCase]) -> list[PoseCase]:
        """Predict the same objects as another model, found by the annotations' ids.

        Args:
            other: The other model.
            cases: Cases of the other model.

        Raises:
            ValueError: If the data of this model lacks one of them.
        """
        numbers = range(len(self))
        places = {self.dataset.get_data_info(i)['id']: i for i in numbers}
        for case in cases:
            if case.id not in places:
                raise ValueError(
                    f'the data of {self.name} has no annotation {case.id}, which '
                    f'{other.name} was drawn on: compare models on the same data'
                )
        return self.at([places[case.id] for case in cases])

    def check_keypoints(self, other: 'PoseModel') -> None:
        """Refuse to compare models with different keypoints.

        Raises:
            ValueError: If the names of the keypoints differ, or their order.
        """
        if self.keypoints != other.keypoints:
            raise ValueError(
                f'{self.name} predicts {len(self.keypoints)} keypoints '
                f'({", ".join(self.keypoints)}) and {other.name} '
                f'{len(other.keypoints)} ({", ".join(other.keypoints)}): compare '
                'models of the same keypoints'
            )
