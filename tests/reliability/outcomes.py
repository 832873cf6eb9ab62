# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Counts of promises kept, and how a script of this folder gives them."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Count of one promise in one arm.

    Attributes:
        promise: What must hold, as in ``docs/reliability.md``.
        arm: ``hpml_mm``, or ``stock`` for MMEngine alone.
        tried: Cases that were tried.
        broken: A line for each case in which it did not hold.
    """

    promise: str
    arm: str
    tried: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Cases in which it held."""
        return self.tried - len(self.broken)

    def add(self, case: str, error: object = None) -> None:
        """Count a case, and what went wrong with it if anything did."""
        self.tried += 1
        if error:
            self.broken.append(f'{case}: {error}')

    def __str__(self) -> str:
        lines = [f'{self.promise} ({self.arm}): {self.kept} of {self.tried}']
        return '\n    '.join(lines + self.broken)


def main(run: Callable[[bool], list[Outcome]]) -> None:
    """Run a script of this folder: all of its cases, or few with ``--quick``."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--quick', action='store_true', help='a few seconds of it')
    for outcome in run(parser.parse_args().quick):
        print(outcome)
