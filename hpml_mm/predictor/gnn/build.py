# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Build the parts of a predictor from their configs."""

from collections.abc import Mapping

from torch import nn

from hpml_mm.registry import MODELS


def build_part(part: Mapping | nn.Module) -> nn.Module:
    """Build a part from its config; a module is returned as it is.

    The registry would first import every vision model that shares it, for seconds. A
    predictor's own parts are registered by then, and need none of them.

    Raises:
        KeyError: Nothing of that type is registered.
        TypeError: The config has no type, or an argument is unknown.
    """
    if isinstance(part, nn.Module):
        return part
    settings = dict(part)
    known = MODELS.module_dict.get(str(settings.get('type')).removeprefix('hpml_mm.'))
    if known is None:
        return MODELS.build(settings)
    del settings['type']
    return known(**settings)
