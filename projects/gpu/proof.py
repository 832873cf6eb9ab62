# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run of the stages, their rows, and the page that says what passed."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from hpml_mm.compat.packages import require
from hpml_mm.experiments.rows import (
    ResultRow,
    append_results,
    read_results,
    result_row,
)
from hpml_mm.experiments.runs import metric_of, read_runs
from hpml_mm.experiments.tables import results_table
from hpml_mm.utils.env import environment
from hpml_mm.utils.files import dump_strict, write_atomic
from hpml_mm.utils.messages import markdown_table, shortened

from .stages import Command, Plan, Stage

#: Numbers of a training that become rows, where they are known.
METRICS = (
    *('accuracy/top1', 'wall_time(s)', 'throughput(img/s)', 'data_wait(%)'),
    *('device_idle(%)', 'mfu(%)', 'memory/peak(GiB)'),
    *('energy/image(J)', 'energy/run(J)'),
)
# Time to end its own processes, for a command that took too long.
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """End of a stage.

    Attributes:
        stage: Its name.
        shows: What it shows.
        result: ``passed``, ``failed`` or ``skipped``.
        seconds: How long it took.
        reason: Why it failed or was skipped, or what of it is not known.
    """

    stage: str
    shows: str
    result: Literal['passed', 'failed', 'skipped']
    seconds: float
    reason: str = ''


def run_stage(stage: Stage, plan: Plan, argv: Sequence[str]) -> Outcome:
    """Run the commands of a stage, check what they leave, and write its rows."""
    if stage.lacks:
        return Outcome(stage.name, stage.shows, 'skipped', 0.0, stage.lacks)
    begun = time.perf_counter()
    failure = _run_commands(stage, plan.out / f'{stage.name}.log')
    reason = failure or ''
    if not failure and stage.run is not None:
        failure, reason = _training_rows(stage, plan, argv)
    seconds = time.perf_counter() - begun
    result: Literal['passed', 'failed'] = 'failed' if failure else 'passed'
    return Outcome(stage.name, stage.shows, result, seconds, reason)


def _run_commands(stage: Stage, log: Path) -> str | None:
    """Run all commands; return why the stage failed, None if it did not."""
    end = time.monotonic() + stage.seconds
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w', encoding='utf-8') as file:
        for command in stage.commands:
            code = _run_command(command, file, max(end - time.monotonic(), 0.1))
            if code is None:
                return f'not done after {stage.seconds} s, see {log}'
            must_fail = stage.leaves is not None and command is stage.commands[-1]
            if must_fail and code == 0:
                return f'it should have failed, and did not, see {log}'
            if not must_fail and code != 0:
                return f'exit code {code}: {_last_line(log)}'
    if stage.leaves is not None and not stage.leaves.is_file():
        return f'{stage.leaves} is not there: {_last_line(log)}'
    return None


def _run_command(command: Command, log: TextIO, seconds: float) -> int | None:
    """Run a command; return its exit code, or None if it was not done in time.

    Then it is asked to end, so that it ends its own processes, and is killed with
    what is left of its group.
    """
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
    except BaseException:  # Ctrl-C: the group is not this process's.
        os.killpg(process.pid, signal.SIGKILL)
        raise


def _training_rows(
    stage: Stage, plan: Plan, argv: Sequence[str]
) -> tuple[str | None, str]:
    """Write the numbers of a training; return why it failed, and what is not known."""
    assert stage.run is not None, 'the stage is a training'
    [summary] = read_runs([stage.run]).values()
    rows: list[ResultRow] = []
    unknown = []
    for metric in METRICS:
        try:
            value = metric_of(summary, metric)
        except ValueError:
            unknown.append(metric)
            continue
        rows.append(
            result_row(
                f'gpu-{plan.name}/{stage.name}',
                metric,
                (value, None),
                1,
                environment=summary['environment'],
                argv=argv,
            )
        )
    append_results(plan.rows, rows)
    accuracy = next((r.value for r in rows if r.metric == METRICS[0]), None)
    if stage.target is not None and (accuracy is None or accuracy < stage.target):
        failure = f'accuracy {accuracy}, not {stage.target}'
        return failure, failure
    return None, f'not known: {", ".join(unknown)}' if unknown else ''


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
    told = [line.strip() for line in lines if line.strip()]
    return shortened(told[-1], 200) if told else 'it printed nothing'


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """Outcomes of earlier runs by stage; none where the file is not there."""
    if not path.is_file():
        return {}
    held = json.loads(path.read_text(encoding='utf-8'))
    return {one['stage']: Outcome(**one) for one in held}


def write_outcomes(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write them for the next run."""
    write_atomic(path, dump_strict([asdict(one) for one in outcomes.values()]))


def _driver(plan: Plan) -> str:
    """Version of the GPU's driver."""
    if not plan.gpus:
        return 'none'
    nvml = require('pynvml', extra='energy')
    nvml.nvmlInit()
    return str(nvml.nvmlSystemGetDriverVersion())


def page(plan: Plan, outcomes: Mapping[str, Outcome]) -> str:
    """The page as Markdown: machine, stages, rows."""
    here = environment()
    lines = [
        (one.stage, one.result, f'{one.seconds:.0f}', one.shows, one.reason)
        for one in outcomes.values()
    ]
    header = ('stage', 'result', 'seconds', 'shows', 'note')
    parts = [
        f'# {plan.name}',
        f'{here["device"]}, PyTorch {here["torch"]}, CUDA {here["cuda"] or "none"}, '
        f'driver {_driver(plan)}, {plan.gpus} GPUs, commit '
        f'{here["commit"]}' + (', **dry run**' if plan.toy else ''),
        markdown_table(header, lines),
    ]
    if plan.rows.is_file():
        parts.append(results_table(read_results(plan.rows)))
    return '\n\n'.join(parts) + '\n'
