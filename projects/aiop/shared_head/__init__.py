# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's shared head: one head for the feature maps of many networks.

``custom_imports = dict(imports=['projects.aiop.shared_head'])`` in a config registers
what it trains on.
"""

from .bodies import LatentBody, SwappedBody
from .latents import LoadLatent

__all__ = ['LatentBody', 'LoadLatent', 'SwappedBody']
