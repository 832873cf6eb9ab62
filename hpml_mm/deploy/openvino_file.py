# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A network of OpenVINO as two files that describe themselves."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hpml_mm.compat import require

from .spec import METADATA_KEY, DeploySpec

if TYPE_CHECKING:
    from openvino import Model


def write_openvino(model: 'Model', spec: DeploySpec, path: str | Path) -> Path:
    """Write a network as ``.xml`` with its weights in ``.bin`` beside it.

    Both are written whole elsewhere first. Weights stay in float32: OpenVINO would
    halve those that are not quantized.

    Args:
        model: Gets the description among its runtime information.
        spec: The description.
        path: File to write; must end in ``.xml``.

    Raises:
        ValueError: If it ends otherwise.
    """
    openvino = require('openvino', 'openvino')
    path = Path(path)
    if path.suffix != '.xml':
        raise ValueError(f'{path} must end in .xml')
    model.set_rt_info(spec.to_json(), [METADATA_KEY])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.') as folder:
        whole = Path(folder, path.name)
        openvino.save_model(model, whole, compress_to_fp16=False)
        os.replace(whole.with_suffix('.bin'), path.with_suffix('.bin'))
        os.replace(whole, path)
    return path
