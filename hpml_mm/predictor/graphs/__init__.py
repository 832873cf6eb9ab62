# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks as computational graphs."""

from .graph import Entry, Graph, Node, assemble, same, validate

__all__ = ['Entry', 'Graph', 'Node', 'assemble', 'same', 'validate']
