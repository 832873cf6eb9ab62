# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces as one array, from which whole batches are cut and augmented at once."""

from .dataset import FaceArrayDataset, keep_batch

__all__ = ['FaceArrayDataset', 'keep_batch']
