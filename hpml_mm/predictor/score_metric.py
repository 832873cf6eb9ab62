# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How well a predictor does, for MMEngine's evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from hpml_mm.registry import METRICS

from .metrics import score


@METRICS.register_module()
class ScoreMetric(BaseMetric):
    """Errors in percentage points and rank correlations, see ``metrics.score``.

    A metric that the data do not have, such as the overlap of the best 50 of 30, is
    left out.

    Args:
        collect_device: Where results of several processes meet, ``'cpu'`` or
            ``'gpu'``.
        collect_dir: Folder in which they meet on the CPU; a temporary one if None.
        prefix: Put before every key, with a slash.
    """

    # Not None, or MMEngine warns that it is unset: the keys are complete already.
    default_prefix = ''

    def __init__(
        self,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            collect_device=collect_device, collect_dir=collect_dir, prefix=prefix
        )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep prediction and label of each network.

        Args:
            data_batch: Not used.
            data_samples: Records with ``predicted`` and ``label``.
        """
        self.results.extend((one['predicted'], one['label']) for one in data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics by name and unit.

        Args:
            results: One (prediction, label) a network.
        """
        predicted, labels = np.array(results, np.float64).T
        metrics = score(predicted, labels)
        return {name: value for name, value in metrics.items() if value is not None}
