# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The file of claims: what each source says, and the rows that it is judged by."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpml_mm.experiments.rows import ResultRow, read_results
from hpml_mm.utils.messages import listed

from .judge import Comparison, Finding, Verdict, judge, rerun_std

RELATIONS = ('above', 'below', 'equals')
_CLAIM = {'id', 'source', 'says', 'here', 'evidence', 'lacks', 'needs', 'command'}
_COST = {'gmacs', 'images', 'epochs'}
_NEEDS = ('gpu', 'cores', 'time', 'data')
_EVIDENCE = {'file', 'row', 'metric', *RELATIONS}
# Of the machine that the hours are estimated for, in multiplications and additions.
_SUSTAINED_TFLOPS = 10
# A training step costs the forward pass three times, and a MAC is two operations.
_FLOPS_PER_MAC = 6


@dataclass(frozen=True)
class Claim:
    """A claim of a source, with its verdict.

    Attributes:
        id: Name of the claim.
        source: Project that claims it.
        says: The claim.
        here: Setting of the rows; empty where there are none.
        files: Names of the files of the rows.
        verdict: What the rows say.
        findings: Comparisons behind it.
        lacks: What a whole verdict lacks; empty if nothing.
        needs: What that takes: ``gpu``, ``cores``, ``time`` or ``data``.
        command: Command that would give it.
        gpu_hours: Time of that command at 10 TFLOP/s, None if not estimated.
    """

    id: str
    source: str
    says: str
    here: str
    files: tuple[str, ...]
    verdict: Verdict
    findings: tuple[Finding, ...]
    lacks: str
    needs: str
    command: str
    gpu_hours: float | None


@dataclass(frozen=True)
class Steps:
    """Steps of a published ablation, and how much two runs of one recipe differ.

    Attributes:
        pairs: Number of each experiment and of the one before it.
        source_std: Standard deviation of the source's best scores.
        own: Row of repeated runs here.
    """

    pairs: tuple[tuple[str, str], ...]
    source_std: float
    own: ResultRow


def read_claims(path: Path, results: Path) -> tuple[list[Claim], Steps]:
    """Read and judge the claims of a TOML file.

    Args:
        path: The file.
        results: Folder of the result files that it names.

    Raises:
        ValueError: With file, claim and key, for what is unknown, missing or there
            twice, and for a row that is not there.
    """
    raw = tomllib.loads(path.read_text(encoding='utf-8'))
    rows = _Rows(results)
    claims = [_claim(path, one, rows) for one in raw['claim']]
    names = [one.id for one in claims]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f'{path}: there twice: {listed(sorted(twice))}')
    steps = raw['steps']
    own = steps['own']
    return claims, Steps(
        tuple((one, before) for one, before in steps['pairs']),
        rerun_std(*steps['reruns']),
        rows.find(own['file'], own['row'], own['metric']),
    )


class _Rows:
    """Rows of the result files, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, list[ResultRow]] = {}

    def find(self, file: str, experiment: str, metric: str) -> ResultRow:
        """The row of an experiment and a metric."""
        if file not in self.held:
            self.held[file] = read_results(self.folder / f'{file}.csv')
        for row in self.held[file]:
            if (row.experiment, row.metric) == (experiment, metric):
                return row
        raise ValueError(f'{self.folder / file}.csv has no {metric} of {experiment}')


def _claim(path: Path, raw: Mapping[str, Any], rows: _Rows) -> Claim:
    place = f'{path}: claim {raw.get("id", "without id")!r}'
    unknown = sorted(raw.keys() - _CLAIM - _COST)
    if unknown:
        known = listed(sorted(_CLAIM | _COST))
        raise ValueError(f'{place}: {listed(unknown)}: there are {known}')
    missing = sorted({'id', 'source', 'says'} - raw.keys())
    if missing:
        raise ValueError(f'{place} lacks {listed(missing)}')
    evidence = raw.get('evidence', [])
    if bool(evidence) != ('here' in raw):
        raise ValueError(f'{place}: evidence goes with `here`, its setting')
    if not evidence and 'lacks' not in raw:
        raise ValueError(f'{place} has neither evidence nor what it `lacks`')
    if ('lacks' in raw) != ('needs' in raw) or raw.get('needs', 'gpu') not in _NEEDS:
        raise ValueError(f'{place}: `lacks` goes with `needs`, one of {listed(_NEEDS)}')
    compared = [pair for one in evidence for pair in _comparisons(place, one, rows)]
    verdict, findings = judge(compared)
    return Claim(
        id=raw['id'],
        source=raw['source'],
        says=raw['says'],
        here=raw.get('here', ''),
        files=tuple(dict.fromkeys(one['file'] for one in evidence)),
        verdict=verdict,
        findings=tuple(findings),
        lacks=raw.get('lacks', ''),
        needs=raw.get('needs', ''),
        command=raw.get('command', ''),
        gpu_hours=_gpu_hours(place, raw),
    )


def _comparisons(
    place: str, raw: Mapping[str, Any], rows: _Rows
) -> Sequence[Comparison]:
    """Comparisons of one row with each of the others that its relation names."""
    relations = [name for name in RELATIONS if name in raw]
    if raw.keys() - _EVIDENCE or len(relations) != 1:
        raise ValueError(
            f'{place}: evidence has file, row, metric and one of {listed(RELATIONS)}: '
            f'{dict(raw)}'
        )
    [relation] = relations
    row = rows.find(raw['file'], raw['row'], raw['metric'])
    others = raw[relation] if isinstance(raw[relation], list) else [raw[relation]]
    return [
        Comparison(
            row,
            relation,  # type: ignore[arg-type]
            rows.find(raw['file'], one, raw['metric'])
            if isinstance(one, str)
            else float(one),
        )
        for one in others
    ]


def _gpu_hours(place: str, raw: Mapping[str, Any]) -> float | None:
    """Hours of a training by its operations alone; None where these are not given."""
    given = raw.keys() & _COST
    if not given:
        return None
    if given != _COST:
        raise ValueError(
            f'{place} has {listed(sorted(given))} of {listed(sorted(_COST))}'
        )
    flops = _FLOPS_PER_MAC * 1e9 * raw['gmacs'] * raw['images'] * raw['epochs']
    return flops / (_SUSTAINED_TFLOPS * 1e12) / 3600
