# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Supernet whose networks start from a trained one, and learn its features.

``custom_imports = dict(imports=['projects.aiop.supernet'])`` in a config registers it.
"""

from .distill import SupernetDistiller
from .images import ImageFiles
from .metric import FeatureR2

__all__ = ['FeatureR2', 'ImageFiles', 'SupernetDistiller']
