# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A linear head behind dropout, as torchvision's classifiers end."""

from collections.abc import Sequence

from mmpretrain.models.heads import LinearClsHead
from torch import Tensor, nn

from hpml_mm.registry import MODELS


@MODELS.register_module()
class DropoutClsHead(LinearClsHead):
    """MMPretrain's linear head behind dropout.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the pooled features.
        dropout: Share of the features that a training step leaves out.
        loss: Loss module; MMPretrain's cross entropy if None.
        topk: Which top-k accuracies ``cal_acc`` computes.
        cal_acc: True if training steps report their accuracy.
        init_cfg: Initialisation as MMEngine takes it; MMPretrain's if None.

    Raises:
        ValueError: If ``dropout`` is no share.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout: float = 0.2,
        loss: dict | None = None,
        topk: int | Sequence[int] = (1,),
        cal_acc: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            num_classes,
            in_channels,
            init_cfg or {'type': 'Normal', 'layer': 'Linear', 'std': 0.01},
            loss=loss or {'type': 'mmpretrain.CrossEntropyLoss', 'loss_weight': 1.0},
            topk=topk,
            cal_acc=cal_acc,
        )
        if not 0 <= dropout < 1:
            raise ValueError(f'DropoutClsHead: dropout is a share below 1: {dropout}')
        self.dropout = nn.Dropout(dropout)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Features of the last stage, (N, C), some of them 0 in training."""
        return self.dropout(super().pre_logits(feats))
