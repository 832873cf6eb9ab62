# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search spaces: networks that are written as short strings."""

from .catalogue import SPACES, get_space
from .space import Arch, SearchSpace, Slot

__all__ = ['SPACES', 'Arch', 'SearchSpace', 'Slot', 'get_space']
