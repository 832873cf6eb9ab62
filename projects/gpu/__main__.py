# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Prove on a GPU what this project promises, in stages of six minutes in all.

    python -m projects.gpu --name h200
    python -m projects.gpu --name h200 --only hrnet-w32 memory
    python -m projects.gpu --dry-run

Rows go to results/gpu/NAME.csv as each stage ends, and results/gpu/NAME.md says what
passed and what did not. Logs and runs are below --out. FER2013 and COCO's persons must
be below HPML_MM_DATA. --dry-run runs every stage on made-up faces, also on a CPU, and
writes nothing into results/.
"""

import argparse
import sys
from pathlib import Path

import torch

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.utils.files import write_atomic

from .proof import page, read_outcomes, run_stage, write_outcomes
from .stages import Plan, stages


def main() -> None:
    """Run the stages, one after the other; exit code 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog='python -m projects.gpu',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--name', default='gpu', help='of the machine')
    parser.add_argument('--only', nargs='+', metavar='STAGE', help='these stages')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu'))
    parser.add_argument('--dry-run', action='store_true', help='on made-up faces')
    args = parser.parse_args()
    with clear_errors():
        failed = prove(args)
    sys.exit(1 if failed else 0)


def prove(args: argparse.Namespace) -> bool:
    """Run the stages; return whether one failed."""
    gpus = torch.cuda.device_count()
    if not gpus and not args.dry_run:
        raise ValueError('there is no GPU here; --dry-run tries the stages without one')
    out = args.out / args.name
    folder = out if args.dry_run else Path('results/gpu')
    plan = Plan(args.name, out, folder / f'{args.name}.csv', gpus, args.dry_run)
    all_stages = stages(plan)
    unknown = set(args.only or ()) - {one.name for one in all_stages}
    if unknown:
        raise ValueError(
            f'--only {" ".join(sorted(unknown))}: the stages are '
            f'{", ".join(one.name for one in all_stages)}'
        )
    plan.rows.parent.mkdir(parents=True, exist_ok=True)
    state = out / 'stages.json'
    outcomes = read_outcomes(state)
    argv = ['-m', 'projects.gpu', *sys.argv[1:]]
    chosen = [one for one in all_stages if not args.only or one.name in args.only]
    for stage in chosen:
        print(f'{stage.name}: {stage.shows}', flush=True)
        found = run_stage(stage, plan, argv)
        outcomes[stage.name] = found
        note = f': {found.reason}' if found.reason else ''
        print(f'  {found.result} in {found.seconds:.0f} s{note}', flush=True)
        write_outcomes(state, outcomes)
        write_atomic(plan.rows.with_suffix('.md'), page(plan, outcomes))
    print(f'page: {plan.rows.with_suffix(".md")}')
    return any(outcomes[one.name].result == 'failed' for one in chosen)


if __name__ == '__main__':
    main()
