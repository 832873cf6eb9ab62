# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a predictor says of networks."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What is predicted of ``G`` networks.

    Attributes:
        scores: (G,) in percent, the median.
        spread: (G,) standard deviation in points, of what would be measured: that of
            the network's score and of the noise of measuring together. None where a
            method does not tell.
        absolute: Whether scores are percentages, and not an order alone.
        doubt: (G,) share of what was uncertain of a network's score before any network
            was known that is uncertain still, 0 to 1; None as for ``spread``.
        outside: For each network why it is unlike those that were learnt from, ''
            where it is not; None where nobody looked.
    """

    scores: np.ndarray
    spread: np.ndarray | None = None
    absolute: bool = True
    doubt: np.ndarray | None = None
    outside: tuple[str, ...] | None = None
