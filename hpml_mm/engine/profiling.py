# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A bounded profile of consecutive steps, and tables of its operators."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity

from hpml_mm.utils.messages import markdown_table

CSV_COLUMNS = (
    'operator',
    'calls',
    'self_device_time(ms)',
    'device_time(ms)',
    'device_time_share(%)',
    'self_cpu_time(ms)',
    'cpu_time(ms)',
    'self_memory(MiB)',
)
# As in aten::convolution_backward, aten::conv2d, aten::cudnn_convolution.
_CONVOLUTION = re.compile(r'conv(olution|\d|_)')


class ProfilerWindow:
    """Waits, warms up and records a number of steps, counted from its start.

    Args:
        wait: Steps that pass unobserved.
        warmup: Steps traced and thrown away: the first traced ones are slower.
        active: Steps recorded.
        cuda: True to record a GPU besides the CPU.
        record_shapes: Keep the shapes of the operators' inputs in the trace.
        with_stack: Keep the Python lines that called the operators in the trace.
    """

    def __init__(
        self,
        wait: int,
        warmup: int,
        active: int,
        cuda: bool = False,
        record_shapes: bool = False,
        with_stack: bool = False,
    ) -> None:
        self.active = active
        self._skipped = wait + warmup
        self._steps = 0
        activities = [ProfilerActivity.CPU]
        if cuda:
            activities.append(ProfilerActivity.CUDA)
        self.profile = torch.profiler.profile(
            activities=activities,
            schedule=torch.profiler.schedule(
                wait=wait, warmup=warmup, active=active, repeat=1
            ),
            record_shapes=record_shapes,
            profile_memory=True,
            with_stack=with_stack,
            # There is one cycle only; without this torch warns of losing others.
            acc_events=True,
        )

    @property
    def recorded(self) -> int:
        """Number of complete steps in the trace."""
        return min(max(self._steps - self._skipped, 0), self.active)

    @property
    def full(self) -> bool:
        """Return whether all steps have been recorded."""
        return self.recorded == self.active

    def start(self) -> None:
        """Begin with the first step, which is about to run."""
        self.profile.start()

    def step(self) -> None:
        """End a step."""
        self._steps += 1
        self.profile.step()

    def stop(self) -> None:
        """Stop in any state; the profile can be read from now on."""
        self.profile.stop()


@dataclass(frozen=True)
class OperatorRow:
    """Cost of one operator in all recorded steps; times in ms, memory in MiB.

    The device is the GPU, or the CPU where there is none. ``self`` leaves out what
    the operator's callees cost. Memory is what it allocated less what it freed.
    """

    operator: str
    calls: int
    self_device_time: float
    device_time: float
    device_time_share: float | None
    self_cpu_time: float
    cpu_time: float
    self_memory: float


def operator_rows(events: Iterable[FunctionEventAvg], cuda: bool) -> list[OperatorRow]:
    """Costs of each operator, the largest device time of its own first.

    Args:
        events: Averages of a stopped profile (``profile.key_averages()``).
        cuda: True if the device is a GPU.
    """
    # On a GPU the profile also lists the kernels, whose time the operators that
    # launched them have already. The step marker is no operator.
    events = [
        event
        for event in events
        if event.device_type == DeviceType.CPU
        and not str(event.key).startswith('ProfilerStep')
    ]
    side = 'device' if cuda else 'cpu'
    total = sum(getattr(event, f'self_{side}_time_total') for event in events)
    rows = [_operator_row(event, side, total) for event in events]
    return sorted(rows, key=lambda row: -row.self_device_time)


def _operator_row(event: FunctionEventAvg, side: str, total: float) -> OperatorRow:
    self_device_time = getattr(event, f'self_{side}_time_total')
    return OperatorRow(
        operator=str(event.key),
        calls=event.count,
        self_device_time=self_device_time / 1e3,
        device_time=getattr(event, f'{side}_time_total') / 1e3,
        device_time_share=100 * self_device_time / total if total else None,
        self_cpu_time=event.self_cpu_time_total / 1e3,
        cpu_time=event.cpu_time_total / 1e3,
        self_memory=getattr(event, f'self_{side}_memory_usage') / 2**20,
    )


def convolution_share(rows: Iterable[OperatorRow]) -> float | None:
    """Per cent of the device time that convolutions and their gradients take.

    None where nothing was timed.
    """
    shares = {row.operator: row.device_time_share for row in rows}
    known = {name: share for name, share in shares.items() if share is not None}
    if not known:
        return None
    return sum(share for name, share in known.items() if _CONVOLUTION.search(name))


def write_csv(rows: Sequence[OperatorRow], path: Path) -> None:
    """Write all operators with the columns ``CSV_COLUMNS``."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for row in rows:
            writer.writerow(
                round(value, 6) if isinstance(value, float) else value
                for value in vars(row).values()
            )


def time_table(rows: Sequence[OperatorRow], top: int) -> str:
    """Markdown table of the operators with the most device time of their own."""
    rows = sorted(rows, key=lambda row: -row.self_device_time)[:top]
    header = ('operator', 'calls', 'self device time (ms)', 'share (%)')
    cells = [
        (
            row.operator,
            str(row.calls),
            f'{row.self_device_time:.3f}',
            '-' if row.device_time_share is None else f'{row.device_time_share:.1f}',
        )
        for row in rows
    ]
    return markdown_table(header, cells, padded=True)


def memory_table(rows: Sequence[OperatorRow], top: int) -> str:
    """Markdown table of the operators that allocated most memory themselves."""
    rows = sorted(rows, key=lambda row: -row.self_memory)[:top]
    header = ('operator', 'calls', 'self memory (MiB)')
    cells = [(row.operator, str(row.calls), f'{row.self_memory:.3f}') for row in rows]
    return markdown_table(header, cells, padded=True)
