# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mean over images of what a supernet's networks explain of their teacher."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from hpml_mm.registry import METRICS


@METRICS.register_module()
class FeatureR2(BaseMetric):
    """Share of the variance of a teacher's features that networks explain, 1 at best.

    ``r2/largest``, ``r2/smallest`` and ``r2/sampled``, means over images and maps, and
    ``r2/sampled/last_map`` and so on: heads mostly read the last map, which is the
    hardest to learn.
    """

    default_prefix = 'r2'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores of each image."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average the scores of all images."""
        return {
            name: float(np.mean([result[name] for result in results]))
            for name in results[0]
        }
