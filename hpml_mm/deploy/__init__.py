# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Deployment: a trained model as one network, exported, in an engine, on images."""
