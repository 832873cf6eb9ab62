# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""JSON summary of a run: status, scores, measurements, environment."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, Runner

from hpml_mm.config.command.words import command_line
from hpml_mm.engine.screen.quiet import ON_SCREEN
from hpml_mm.registry import HOOKS
from hpml_mm.utils.env import environment, project_version
from hpml_mm.utils.files import dump_strict, write_atomic
from hpml_mm.utils.messages import shortened
from hpml_mm.utils.model import known_length

from .loop_hook import LoopHook

Status = Literal['finished', 'pruned', 'interrupted', 'failed']
# Where a checkpoint keeps the seconds that training has taken up to it.
_WALL_TIME = 'hpml_mm_wall_time'


@HOOKS.register_module()
class SummaryHook(LoopHook):
    """Writes ``<work_dir>/summary.json`` after a training or test run.

    The file holds ``status``, ``reason`` (of a failure), ``mode`` ('train' or 'test'),
    the ``metrics`` of the last evaluation, the ``best`` ones where a CheckpointHook
    keeps the best checkpoint, ``measurements`` (what every hook with a method
    ``summary`` returns), ``train`` (epochs, iterations and wall time in all, and the
    samples in the training set), ``seed``, ``config``, ``config_file``, ``command`` and
    ``environment``. It is strict JSON: what is not known, NaN included, is null.

    A resumed training has the wall time that led to its checkpoint, and what it took
    from there. What is lost in between, and done again, counts once.

    What a hook evaluates or tests while the training runs is no part of it: the metrics
    are those of the evaluations that the training loop itself calls.

    A training that breaks off leaves its summary too, as 'interrupted' (Ctrl-C, a
    signal), 'pruned' (by a search) or 'failed'. That of a finished one stays when it is
    resumed all the same. A summary of the other mode that is there already is kept as
    ``summary_train.json`` or ``summary_test.json``.

    A hook's ``summary`` takes no arguments and must not communicate with other
    processes: after an error, the others would not answer. All processes call it,
    the first one writes.
    """

    priority = 'LOWEST'
    switched_on = ()

    # Tests put a clock of their own here.
    clock: Callable[[], float] = staticmethod(perf_counter)

    def __init__(self) -> None:
        self._mode: Literal['train', 'test'] = 'train'
        self._metrics: dict[str, Any] = {}
        self._started: float | None = None
        self._seconds: float | None = None
        # Of the processes before this one; None where their checkpoint lacks it.
        self._earlier: float | None = 0.0
        self._from = 0
        # The summary that this run wrote last, None before and if it could not.
        self.path: Path | None = None

    def before_run(self, runner: Runner) -> None:
        """Reset the wall time."""
        super().before_run(runner)
        if not self.running:
            self._earlier = 0.0

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._mode, self._metrics = 'train', {}
        self._started, self._seconds = self.clock(), None
        self._from = runner.iter

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the wall time so far in the checkpoint."""
        if self._started is not None:
            checkpoint[_WALL_TIME] = self._wall_time()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the wall time of the resumed training."""
        if runner._resume:  # the runner has no public attribute
            self._earlier = checkpoint.get(_WALL_TIME)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Keep the metrics."""
        if not self.nested(runner):
            self._metrics = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Write the summary of a training; that of one that was finished stays."""
        if runner.iter == self._from and finished_before(runner):
            self._started, self.path = None, _path(runner)
            runner.logger.info(
                f'This training was finished before, at iteration {runner.iter}: '
                f'{self.path} is kept',
                extra=ON_SCREEN,
            )
            return
        pruned = any(getattr(hook, 'pruned_at', None) for hook in runner.hooks)
        self.write(runner, 'pruned' if pruned else 'finished')

    def before_test(self, runner: Runner) -> None:
        """Reset times and metrics for a test run."""
        if self.running:
            return
        self._mode, self._metrics = 'test', {}
        self._started = self._seconds = None

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, Any] | None = None
    ) -> None:
        """Keep the metrics."""
        if not self.running:
            self._metrics = dict(metrics or {})

    def after_test(self, runner: Runner) -> None:
        """Write the summary of a test run."""
        if not self.running:
            self.write(runner, 'finished')

    def write(self, runner: Runner, status: Status) -> Path | None:
        """Write the summary as it stands now; an earlier one is replaced.

        Args:
            runner: The runner; it need not have begun to train.
            status: End of the run.

        Returns:
            The file. None in all processes but the first, and where it could not
            be written: then the log has an error with its content.
        """
        if self._started is not None:
            self._seconds, self._started = self._wall_time(), None
        payload = self._payload(runner, status)
        if not is_main_process():
            return None
        self.path, path = None, _path(runner)
        try:
            _keep_other_mode(path, self._mode)
            write_atomic(path, dump_strict(payload))
            path.with_name(f'summary_{self._mode}.json').unlink(missing_ok=True)
        except OSError as error:
            # The config is at the head of the log already.
            rest = {key: item for key, item in payload.items() if key != 'config'}
            runner.logger.error(
                f'The summary could not be written to {path}: {error}. Free some '
                f'space or choose another work_dir. It would be:\n{dump_strict(rest)}'
            )
            return None
        self.path = path
        runner.logger.info(f'The summary of this run is in {path}')
        return path

    def loop_ended(self, runner: Runner) -> None:
        """Write the summary of a training that failed or was interrupted."""
        if self._started is None:
            return
        stopped = isinstance(sys.exception(), KeyboardInterrupt | SystemExit) or any(
            getattr(hook, 'stop_requested', False) for hook in runner.hooks
        )
        self.write(runner, 'interrupted' if stopped else 'failed')

    def _wall_time(self) -> float | None:
        if self._earlier is None or self._started is None:
            return None
        return self._earlier + self.clock() - self._started

    def _payload(self, runner: Runner, status: Status) -> dict[str, Any]:
        return {
            'status': status,
            'reason': _reason() if status == 'failed' else None,
            'mode': self._mode,
            'metrics': self._metrics,
            'best': best_scores(runner) if self._mode == 'train' else {},
            'measurements': collect_measurements(runner),
            'train': self._progress(runner),
            'seed': runner.seed,
            'config': runner.cfg.to_dict(),
            'config_file': runner.cfg.filename,
            'command': command_line(sys.argv),
            'environment': {
                **environment(),
                **project_version(runner.cfg.filename),
                'processes': get_world_size(),
            },
        }

    def _progress(self, runner: Runner) -> dict[str, float | None]:
        if self._mode == 'test':
            names = ('epochs', 'iters', 'dataset_size', 'wall_time(s)')
            return dict.fromkeys(names)
        # An iteration-based loop knows no epochs: it would always say 0.
        endless = isinstance(runner._train_loop, IterBasedTrainLoop)
        return {
            'epochs': None if endless else runner.epoch,
            'iters': runner.iter,
            'dataset_size': _dataset_size(runner),
            'wall_time(s)': self._seconds,
        }


def finished_before(runner: Runner) -> bool:
    """Return whether a resumed training has the summary of one that ended right here.

    All processes get the answer of the first one.
    """
    answer = [False]
    if runner._resume and is_main_process():
        found = _read(_path(runner))
        train = found.get('train')
        iters = train.get('iters') if isinstance(train, dict) else None
        ended = (found.get('mode'), found.get('status')) == ('train', 'finished')
        answer = [ended and iters == runner.iter]
    broadcast_object_list(answer)
    return answer[0]


def best_scores(runner: Runner) -> dict[str, Any]:
    """Best value of each metric that a CheckpointHook keeps the best checkpoint of.

    Returns:
        Metric name to value, ``checkpoint`` to the file's name, or, with more than
        one metric, ``checkpoint/<metric>`` to each one's. Empty without such a hook.
    """
    best: dict[str, Any] = {}
    info = runner.message_hub.runtime_info
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook) or not hook.save_best:
            continue
        several = len(hook.key_indicators) > 1
        for metric in hook.key_indicators:
            ending = f'_{metric}' if several else ''
            if f'best_score{ending}' not in info:
                continue
            best[metric] = info[f'best_score{ending}']
            checkpoint = info.get(f'best_ckpt{ending}')
            name = f'checkpoint/{metric}' if several else 'checkpoint'
            best[name] = None if checkpoint is None else Path(checkpoint).name
    return best


def collect_measurements(runner: Runner) -> dict[str, Any]:
    """Merge the ``summary()`` of all hooks; one that fails is logged and left out."""
    measurements: dict[str, Any] = {}
    for hook in runner.hooks:
        if not callable(getattr(hook, 'summary', None)):
            continue
        name = type(hook).__name__
        try:
            measured = hook.summary()
        except Exception as error:
            # What the others measured must not be lost with it.
            runner.logger.warning(f'{name} is missing in the summary: {error!r}')
            continue
        for key in measurements.keys() & measured.keys():
            runner.logger.warning(
                f'{name} and a hook before it both measured {key!r}; the summary '
                f'holds that of {name}'
            )
        measurements.update(measured)
    return measurements


def _reason() -> str | None:
    """First line of the error that is being raised."""
    error = sys.exception()
    if error is None:
        return None
    text = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {shortened(text, 1000)}'


def _dataset_size(runner: Runner) -> int | None:
    """Samples to train with; None where they are endless or not counted."""
    loader = getattr(runner._train_loop, 'dataloader', None)
    return known_length(getattr(loader, 'dataset', None))


def _keep_other_mode(path: Path, mode: str) -> None:
    """Rename a summary of the other mode, so that it is not overwritten."""
    other = 'test' if mode == 'train' else 'train'
    if _read(path).get('mode') == other:
        path.replace(path.with_name(f'summary_{other}.json'))


def _path(runner: Runner) -> Path:
    return Path(runner.work_dir, 'summary.json')


def _read(path: Path) -> dict[str, Any]:
    """Content of a summary, empty where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
