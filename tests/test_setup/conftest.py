# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from fake_setup import setup_env, venv

__all__ = ['setup_env', 'venv']
