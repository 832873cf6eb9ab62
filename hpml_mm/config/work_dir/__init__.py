# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Work directories: their names, and the checkpoints in them."""

from .last_checkpoint import check_whole, find_checkpoint, recorded_checkpoint
from .naming import derive_work_dir, slug
from .start_weights import find_start_weights
from .stores import checkpoint_hooks, claim_work_dir

__all__ = [
    'check_whole',
    'checkpoint_hooks',
    'claim_work_dir',
    'derive_work_dir',
    'find_checkpoint',
    'find_start_weights',
    'recorded_checkpoint',
    'slug',
]
