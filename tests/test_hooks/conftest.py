# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import time
from types import SimpleNamespace

import pytest
from fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(autouse=True)
def no_sleep_before_a_pass(monkeypatch):
    """MMEngine's loop by iterations sleeps two seconds before each pass."""
    awake = SimpleNamespace(**{**vars(time), 'sleep': lambda seconds: None})
    monkeypatch.setattr('mmengine.runner.loops.time', awake)
