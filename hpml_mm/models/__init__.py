# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Backbones and heads that MMPretrain and MMPose lack."""

from .mini_xception import ConvClsHead, MiniXception

__all__ = ['ConvClsHead', 'MiniXception']
