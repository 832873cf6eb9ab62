# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Profile of a few iterations."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from hpml_mm.engine.profiling import (
    OperatorRow,
    ProfilerWindow,
    convolution_share,
    memory_table,
    operator_rows,
    time_table,
    write_csv,
)
from hpml_mm.engine.trackers import prepare_trackers
from hpml_mm.engine.trackers.tensorboard import TensorBoard
from hpml_mm.registry import HOOKS
from hpml_mm.utils.charts import bar_chart
from hpml_mm.utils.model import model_device

from .loop_hook import LoopHook

LOOPS = {'train': ('train',), 'val': ('val', 'test'), 'both': ('train', 'val', 'test')}


@HOOKS.register_module()
class TorchProfilerHook(LoopHook):
    """Profiles a few consecutive iterations of a run.

    The window starts at the first iteration of this run, resumed or not. It writes
    ``<work_dir>/profile/rank0_train_iter3.trace.json.gz`` (open it in
    https://ui.perfetto.dev; 3 is the first iteration recorded, counted from 1, and for
    validation the iterations trained before it), a CSV file of all operators beside
    it, tables to the log and to TensorBoard's texts, and
    a bar chart to its images. Log and TensorBoard belong to the main process: other
    ranks write files only.

    A window does not reach beyond its loop: what validation, another loop that a hook
    runs, the end of training or an error cuts short is written as far as it got, with
    a warning, or starts again in the next iteration of its kind if nothing had been
    recorded. Once it has been written, the hook does nothing.

    Args:
        wait: Iterations that pass unobserved.
        warmup: Iterations traced and thrown away.
        active: Iterations recorded.
        mode: ``'train'``, ``'val'`` (validation and test), or ``'both'`` (a window
            for each).
        ranks: Processes that profile.
        record_shapes: Keep the shapes of the operators' inputs in the trace.
        with_stack: Keep the Python lines that called the operators in the trace.
        top: Rows of the tables and bars of the chart.

    Raises:
        ValueError: If the window is empty, or ``mode`` unknown.
    """

    # Last of all hooks, so that a step holds the time of the others.
    priority = 'LOWEST'
    loops = ('train', 'val', 'test')

    def __init__(
        self,
        wait: int = 1,
        warmup: int = 1,
        active: int = 3,
        mode: str = 'train',
        ranks: Sequence[int] = (0,),
        record_shapes: bool = False,
        with_stack: bool = False,
        top: int = 10,
    ) -> None:
        if wait < 0 or warmup < 0 or active < 1:
            raise ValueError(
                f'TorchProfilerHook: wait={wait}, warmup={warmup}, active={active}: '
                'wait and warmup must be at least 0, active at least 1'
            )
        if mode not in LOOPS:
            raise ValueError(
                f'TorchProfilerHook: mode is {mode!r}, use one of {", ".join(LOOPS)}'
            )
        self.mode = mode
        self.ranks = tuple(ranks)
        self.top = top
        self._steps = dict(wait=wait, warmup=warmup, active=active)
        self._record_shapes = record_shapes
        self._with_stack = with_stack
        self._pending: set[str] = set()
        self._missed: set[str] = set()
        self._window: ProfilerWindow | None = None
        self._kind = ''
        self._first_iter = 0
        self._shares: dict[str, float | None] = {}

    def before_run(self, runner: Runner) -> None:
        """Choose what to profile."""
        super().before_run(runner)
        if self.running:
            return
        prepare_trackers(runner)
        self._pending = set(LOOPS[self.mode]) if runner.rank in self.ranks else set()
        self._missed = set()
        self._shares = {}

    def _before_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        mode: str = 'train',
    ) -> None:
        """Start a window; MMEngine calls this in all three loops."""
        if mode in self._pending and self._window is None:
            self._start(mode, runner)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: object = None,
        mode: str = 'train',
    ) -> None:
        """End a step of the window; MMEngine calls this in all three loops."""
        if self._window is not None:
            self._window.step()
            if self._window.full:
                self._close(runner)

    def loop_started(self, runner: Runner) -> None:
        """Keep every other loop out of a window."""
        close = partial(self._close, runner)
        close()
        if self._running == 1:
            self.patch_other_loops(close, close)

    def loop_ended(self, runner: Runner) -> None:
        """Close the window that is open, also where the run has failed."""
        self._close(runner)

    def after_run(self, runner: Runner) -> None:
        """Warn if nothing was recorded."""
        if self.running:
            return
        for kind in sorted(self._missed):
            self._warn_short(runner, kind, recorded=0)
        self._missed = set()

    def summary(self) -> dict[str, float | None]:
        """Share of the device time that convolutions took, of each kind of loop."""
        return self._shares

    def _close(self, runner: Runner) -> None:
        """Stop an open window and write its recorded steps."""
        if self._window is None:
            return
        window, self._window = self._window, None
        window.stop()
        if window.recorded == 0:
            self._missed.add(self._kind)
            return
        self._missed.discard(self._kind)
        self._pending.discard(self._kind)
        if not window.full:
            self._warn_short(runner, self._kind, window.recorded)
        self._write(runner, window)

    def _start(self, kind: str, runner: Runner) -> None:
        self._kind = kind
        self._first_iter = runner.iter
        if kind == 'train':
            self._first_iter += 1 + self._steps['wait'] + self._steps['warmup']
        self._window = ProfilerWindow(
            **self._steps,
            cuda=_on_gpu(runner),
            record_shapes=self._record_shapes,
            with_stack=self._with_stack,
        )
        self._window.start()

    def _warn_short(self, runner: Runner, kind: str, recorded: int) -> None:
        args = self._steps
        needed = sum(args.values())
        runner.logger.warning(
            f'TorchProfilerHook recorded {recorded} of {args["active"]} {kind} '
            f'iterations: it needs {needed} in a row (wait {args["wait"]}, warmup '
            f'{args["warmup"]}, active {args["active"]}); make the window smaller or '
            'the run longer'
        )

    def _write(self, runner: Runner, window: ProfilerWindow) -> None:
        folder = Path(runner.work_dir) / 'profile'
        folder.mkdir(parents=True, exist_ok=True)
        name = f'rank{runner.rank}_{self._kind}_iter{self._first_iter}'
        trace = folder / f'{name}.trace.json.gz'
        window.profile.export_chrome_trace(str(trace))
        rows = operator_rows(window.profile.key_averages(), cuda=_on_gpu(runner))
        self._shares[f'profile/{self._kind}/convolutions(%)'] = convolution_share(rows)
        write_csv(rows, folder / f'{name}.csv')
        tables = (
            f'{window.recorded} {self._kind} iterations from {self._first_iter} on, '
            f'rank {runner.rank}, device {"GPU" if _on_gpu(runner) else "CPU"}\n\n'
            f'{time_table(rows, self.top)}\n\n{memory_table(rows, self.top)}'
        )
        runner.logger.info(f'Profile of {tables}\n\nTrace for Perfetto: {trace}')
        if is_main_process():
            self._visualize(runner, rows, tables, trace.absolute())

    def _visualize(
        self,
        runner: Runner,
        rows: Sequence[OperatorRow],
        tables: str,
        trace: Path,
    ) -> None:
        tag = f'profile/{self._kind}'
        rows = rows[: self.top]
        picture = bar_chart(
            [row.operator for row in rows],
            [row.self_device_time for row in rows],
            title=f'Top operators, {self._kind} from iteration {self._first_iter} on',
            value_label='self device time (ms)',
        )
        runner.visualizer.add_image(tag, picture, step=self._first_iter)
        text = (
            f'To look into the trace, open [ui.perfetto.dev](https://ui.perfetto.dev), '
            f'drop this file there, and see each operator of each step: `{trace}`\n\n'
            # A name such as __next__ would be bold.
            + tables.replace('__', r'\_\_')
        )
        for backend in runner.visualizer._vis_backends.values():
            if isinstance(backend, TensorBoard):
                backend.add_text(tag, text, self._first_iter)


def _on_gpu(runner: Runner) -> bool:
    return model_device(runner.model).type == 'cuda'
