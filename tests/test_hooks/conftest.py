# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A loop by iterations without the two seconds that it sleeps before each pass."""

import time
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def no_sleep_before_a_pass(monkeypatch):
    awake = SimpleNamespace(**{**vars(time), 'sleep': lambda seconds: None})
    monkeypatch.setattr('mmengine.runner.loops.time', awake)
