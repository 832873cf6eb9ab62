# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A clock that only the test moves."""


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds
