# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names, pairs, weights and colours of keypoints, as configs in MMPose's form."""

from pathlib import Path


def metainfo_file(name: str) -> str:
    """Path of one of the configs in this folder, without its suffix."""
    return str(Path(__file__).with_name(f'{name}.py'))
