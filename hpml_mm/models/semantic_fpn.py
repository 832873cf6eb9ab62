# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Semantic branch of Panoptic FPN alone."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ALL_MODELS
from mmengine.structures import PixelData
from torch import Tensor

from hpml_mm.registry import MODELS


@MODELS.register_module()
class SemanticFPN(BaseModel):
    """Segment an image into classes by a feature pyramid and a semantic head.

    It is MMDetection's ``PanopticFPN`` without boxes and masks (Kirillov et al.,
    Panoptic Feature Pyramid Networks, CVPR 2019). Its parts are MMDetection's; with a
    ``PanopticFPNHead`` without things and with K - 1 classes of stuff, its K outputs
    are K classes.

    Args:
        backbone: Settings of the backbone.
        neck: Settings of the pyramid.
        semantic_head: Settings of the head, one of MMDetection's semantic heads.
        data_preprocessor: Settings of ``DetDataPreprocessor``.
        init_cfg: Settings of the initialisation.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        semantic_head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = ALL_MODELS.build(backbone)
        self.neck = ALL_MODELS.build(neck)
        self.semantic_head = ALL_MODELS.build(semantic_head)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Any:
        """Run the network.

        Args:
            inputs: Images of shape (N, 3, H, W).
            data_samples: Their samples; with ``gt_sem_seg`` for a loss.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            The losses by name; or the samples with ``pred_sem_seg``, class ids of shape
            (1, H, W) in the size of each original image; or scores of shape
            (N, K, H / 4, W / 4).

        Raises:
            ValueError: There is no such mode.
        """
        features = self.neck(self.backbone(inputs))
        if mode == 'loss':
            return self.semantic_head.loss(features, data_samples)
        if mode == 'predict':
            return self._predict(features, data_samples or [])
        if mode == 'tensor':
            return self.semantic_head(features)['seg_preds']
        raise ValueError(f"mode is {mode!r}, not 'loss', 'predict' or 'tensor'")

    def _predict(self, features: tuple[Tensor, ...], data_samples: list) -> list:
        metas = [sample.metainfo for sample in data_samples]
        scores = self.semantic_head.predict(features, metas, rescale=True)
        for sample, score in zip(data_samples, scores, strict=True):
            labels = torch.argmax(score, dim=0, keepdim=True)
            sample.pred_sem_seg = PixelData(sem_seg=labels)
        return data_samples
