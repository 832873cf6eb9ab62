# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces as one array in memory, indexed and augmented in whole batches."""

from .dataset import FaceArrayDataset, keep_batch

__all__ = ['FaceArrayDataset', 'keep_batch']
