# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keypoints of cats and persons in COCO's format."""
