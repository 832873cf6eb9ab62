# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()
