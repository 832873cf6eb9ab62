# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One thing to predict, and what may be used for it."""

import dataclasses
from pathlib import Path

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import Draw


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """The rest of a table, to be predicted from a sample.

    Attributes:
        bench: The table.
        drawn: Its sample, and what is to be predicted.
        sources: Tables to pre-train on, which hold none of its networks. Graph
            networks learn from the first.
        adapters: Other labels of the first source, for AIO-P's adapters.
        seed: Of pre-training, first weights and order.
        store: Folder of pre-trained weights, which several samples share.
    """

    bench: Bench
    drawn: Draw
    sources: tuple[Bench, ...] = ()
    adapters: tuple[Bench, ...] = ()
    seed: int = 0
    store: Path | None = None
