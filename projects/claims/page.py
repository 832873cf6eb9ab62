# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The tables of the document of claims, as Markdown."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from hpml_mm.experiments.rows import ResultRow
from hpml_mm.utils.messages import listed, markdown_table

from .claims import Claim, Steps
from .judge import Comparison, Finding, Verdict, least_step, std_of

# Smaller ones say more about the test's assumptions than about the claim.
_LEAST_P = 1e-4
_WORDS = {'above': 'above', 'below': 'below', 'equals': 'is'}
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_BLOCK = re.compile(r'(<!-- claims: (.*?) -->\n).*?(<!-- /claims -->)', re.DOTALL)


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """A document with its tables made anew.

    Args:
        text: The document; a table is between ``<!-- claims: NAME -->`` and
            ``<!-- /claims -->``.
        blocks: Tables by name.

    Raises:
        ValueError: If the document has other tables than these, or one twice.
    """
    there = [found[1] for found in _BLOCK.findall(text)]
    if sorted(there) != sorted(blocks):
        raise ValueError(
            f'the document has tables of {listed(there)}, not of {listed(blocks)}'
        )
    return _BLOCK.sub(lambda found: f'{found[1]}{blocks[found[2]]}\n{found[3]}', text)


def tables(
    claims: Sequence[Claim], steps: Steps, source: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """All tables of the document by name, one for each source among them.

    Args:
        claims: All claims.
        steps: The ablation whose steps are judged.
        source: Its published numbers, by experiment.
    """
    counts = Counter(one.verdict for one in claims)
    lines = [(name, str(counts[name])) for name in _VERDICTS]
    found = {'verdicts': markdown_table(('verdict', 'claims'), lines)}
    for name in dict.fromkeys(one.source for one in claims):
        rows = [_line(one) for one in claims if one.source == name]
        found[name] = markdown_table(('claim', 'verdict', 'measured', 'rows'), rows)
    own = std_of(steps.own)
    assert own is not None, 'the row of repeated runs has a spread'
    stds = {'theirs': steps.source_std, 'ours': own}
    return {**found, **_steps(steps, stds, source), 'left': _left(claims)}


def _line(claim: Claim) -> tuple[str, ...]:
    measured = [f'{claim.here}:'] if claim.here else []
    measured += map(_finding, claim.findings)
    if claim.lacks:
        measured.append(f'*Not tested:* {claim.lacks}')
    files = ', '.join(f'[{one}](../results/{one}.csv)' for one in claim.files)
    return claim.says, f'**{claim.verdict}**', '<br>'.join(measured), files


def _finding(finding: Finding) -> str:
    one = finding.comparison
    other = f'{one.other:g}' if isinstance(one.other, float) else _side(one.other)
    text = f'{_side(one.row)} {_WORDS[one.relation]} {other}: '
    return f'{text}{"yes" if finding.as_said else "no"}{_p(one, finding.p)}'


def _p(one: Comparison, p: float | None) -> str:
    if p is None:
        return '' if one.relation == 'equals' else ', no p'
    return f', p {p:.2g}' if p >= _LEAST_P else f', p < {_LEAST_P:g}'


def _side(row: ResultRow) -> str:
    unit = '' if row.unit == '1' else f' {row.unit}'
    sign = '±' if row.is_mean else 'IQR'
    spread = '' if row.spread is None else f' {sign} {row.spread:.2g}'
    name = row.experiment.rpartition('/')[2]
    return f'`{name}` {row.value:.4g}{spread}{unit} (n {row.n})'


def _steps(
    steps: Steps, stds: Mapping[str, float], source: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Table of the steps, and of the noise that they are compared with."""
    least = {name: least_step(std) for name, std in stds.items()}
    lines = []
    for number, before in steps.pairs:
        one, other = (source[name]['best'] for name in (number, before))
        try:
            step = float(one) - float(other)
        except ValueError:  # It did not converge, or was out of memory.
            shown, larger = one, ''
        else:
            than = [name for name, value in least.items() if abs(step) > value]
            shown, larger = f'{step:+.3f}', ' and '.join(than) or 'neither'
        lines.append((number, before, source[number]['change'], shown, larger))
    header = ('experiment', 'against', 'change', 'best mAP', 'larger than')
    sizes = Counter(line[-1] for line in lines if line[-1])
    noise = [
        (name, f'{stds[name]:.4f}', f'{least[name]:.3f}', str(_larger(sizes, name)))
        for name in stds
    ]
    noise_header = ('noise', 'std', 'least step', f'steps larger, of {len(lines)}')
    return {
        'noise': markdown_table(noise_header, noise),
        'steps': markdown_table(header, lines),
    }


def _larger(sizes: Mapping[str, int], name: str) -> int:
    return sum(count for than, count in sizes.items() if name in than.split(' and '))


def _left(claims: Sequence[Claim]) -> str:
    lines = [
        (
            one.says,
            one.needs,
            f'`{one.command}`' if one.command else '',
            '' if one.gpu_hours is None else f'{one.gpu_hours:.2g}',
        )
        for one in sorted(claims, key=lambda one: one.needs)
        if one.needs
    ]
    return markdown_table(('claim', 'needs', 'command', 'hours'), lines)
