# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resume as if nothing had happened."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from mmengine.dataset import worker_init_fn
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook, SyncBuffersHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from hpml_mm.engine.batches import (
    draw_nothing_at_first,
    is_batched,
    samplers,
    seed_batches,
)
from hpml_mm.engine.process_states import (
    process_state,
    set_process_state,
    without_repetition,
)
from hpml_mm.engine.resume import (
    continue_epoch,
    continue_iterations,
    validation_due,
)
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import to_strict
from hpml_mm.utils.patch import calls_uncounted

from .loop_hook import LoopHook
from .sample_seed_hook import SampleSeedHook
from .summary_hook import SummaryHook, finished_before

# Where a checkpoint keeps what is described in :class:`ResumeHook`.
_STATE = 'hpml_mm_resume'
# What hooks of MMEngine count, and do not save.
_COUNTED: dict[type[Hook], tuple[str, ...]] = {
    EarlyStoppingHook: ('wait_count', 'best_score'),
    SyncBuffersHook: ('called_in_train',),
}


@HOOKS.register_module()
class ResumeHook(LoopHook):
    """Makes a resumed training end as one that was never interrupted.

    Added to a checkpoint, as ``hpml_mm_resume``, is what MMEngine leaves out: the
    random states of every process, buffers that differ among them, accumulated
    gradients, the seed of the samplers, what early stopping has counted, and which
    validation was done last. A resumed run takes them up, goes on within its epoch or
    its pass over the data, and begins with the validation that a kill cut short. A
    checkpoint without them resumes as far as MMEngine does.

    Batches that workers make are seeded by their number, unless ``SampleSeedHook``
    seeds each sample: they do not depend on what a worker has done before, nor on the
    number of workers.

    ``tools/train.py`` adds this hook to every training.

    Args:
        exact: False to leave a resume to MMEngine.
    """

    # Its ``before_train`` comes after that of all others, see ``loop_started``.
    priority = 'LOWEST'

    def __init__(self, exact: bool = True) -> None:
        self.exact = exact
        self._state: Mapping[str, Any] | None = None
        self._gathered: list[dict[str, Any]] | None = None
        self._validated = -1
        self._metrics: Any = {}

    def before_run(self, runner: Runner) -> None:
        """Prepare a run."""
        if self.exact:
            super().before_run(runner)
        if not self.running:
            self._state, self._validated, self._metrics = None, -1, {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state in the checkpoint of a resumed training."""
        if runner._resume and self.exact:  # the runner has no public attribute
            self._state = checkpoint.get(_STATE, {})

    @property
    def switched_on(self) -> tuple[str, ...]:
        """Short name, if it is switched on."""
        return ('exact resume',) if self.exact else ()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state, but not to weights alone, such as the best ones."""
        if not self.running or 'optimizer' not in checkpoint:
            return
        states = self._gathered or [process_state(runner)]
        loop = runner.train_loop
        checkpoint[_STATE] = {
            'world_size': runner.world_size,
            'processes': without_repetition(states),
            'validated': self._validated,
            'metrics': self._metrics,
            'stop_training': bool(getattr(loop, 'stop_training', False)),
            'hooks': [
                [_plain(getattr(hook, name)) for name in names]
                for hook, names in _counting(runner)
            ],
            'sampler_seeds': _sampler_seeds(runner),
            'iterators': [_has_iterator(loader) for loader in _loaders(runner)],
        }

    def gather_states(self, runner: Runner) -> None:
        """Collect the states of all processes, each of which calls this, to save them.

        A checkpoint that the first process saves alone has only that one's.
        """
        if self.exact and runner.world_size > 1:
            self._gathered = all_gather_object(process_state(runner))

    def loop_started(self, runner: Runner) -> None:
        """Prepare hooks, loop and loaders."""
        if self._running > 1:
            return
        _reorder(runner, self)
        watch = _WatchValidation(self)
        runner.register_hook(watch, priority=watch.priority)
        self.on_end(lambda: runner._hooks.remove(watch))
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                gather = partial(self.gather_states, runner)
                self.patch(hook, '_save_checkpoint_with_step', gather, self._forget)
        loop, loader = runner.train_loop, runner.train_dataloader
        if isinstance(loop, EpochBasedTrainLoop):
            continue_epoch(loop)
        elif isinstance(loop, IterBasedTrainLoop) and loop.iter:
            continue_iterations(loop)
        text = 'ResumeHook: a resumed run will end as an unbroken one'
        by_sample = any(isinstance(hook, SampleSeedHook) for hook in runner.hooks)
        if is_batched(loader) and loader.num_workers and not by_sample:
            key = (runner.seed, runner.rank)
            self.on_end(seed_batches(loader, key, lambda: loop.iter))
            text += '; for it, batches made by workers are seeded by their number'
        off = "custom_hooks=[dict(type='hpml_mm.ResumeHook', exact=False)]"
        runner.logger.info(f'{text} (not with {off})')

    def before_train(self, runner: Runner) -> None:
        """Take up the state of the checkpoint; make up for a validation."""
        if self._state is None or not self.running:
            return
        state, self._state = self._state, None
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.last_ckpt is None:
                # Else it would not note a new best score in the last checkpoint.
                hook.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        if not state:
            runner.logger.warning(
                'The checkpoint was written without ResumeHook: random states start '
                'anew, and a validation that was cut short is left out'
            )
            return
        self._take_up(runner, state)
        done = self._validated == runner.iter
        if done:
            _tell_metrics(runner, self._metrics)
        elif validation_due(runner) and not (
            runner.iter >= runner.max_iters and finished_before(runner)
        ):
            runner.logger.info(
                f'The validation after iteration {runner.iter} was cut short and is '
                'made up for'
            )
            with calls_uncounted(runner, 'call_hook'):
                runner.val_loop.run()

    def validation_done(self, runner: Runner, metrics: Mapping | None) -> None:
        """Note a validation by the training loop, before a checkpoint holds it."""
        if not self.nested(runner):
            self._validated = runner.iter
            self._metrics = to_strict(dict(metrics or {}))

    def _take_up(self, runner: Runner, state: Mapping[str, Any]) -> None:
        loop, loaders = runner.train_loop, _loaders(runner)
        self._validated, self._metrics = state['validated'], state['metrics']
        loop.stop_training = state['stop_training']
        counting = list(_counting(runner))
        if len(counting) == len(state['hooks']):
            for (hook, names), values in zip(counting, state['hooks'], strict=True):
                for name, value in zip(names, values, strict=True):
                    setattr(hook, name, value)
        _seed_loaders(runner, state['sampler_seeds'])
        for loader, started in zip(loaders, state['iterators'], strict=False):
            amid = loader is loaders[0] and _amid_pass(runner)
            if is_batched(loader) and (started or amid):
                draw_nothing_at_first(loader)
        processes = state['processes']
        if state['world_size'] == runner.world_size and runner.rank < len(processes):
            set_process_state(runner, processes[runner.rank])
        else:
            runner.logger.warning(
                f'The checkpoint has the random states of {len(processes)} of '
                f'{state["world_size"]} processes, and this run has '
                f'{runner.world_size}: those that lack start anew'
            )

    def _forget(self) -> None:
        self._gathered = None


class _WatchValidation(Hook):
    """Tells a ResumeHook of a validation before the CheckpointHook saves."""

    priority = 89
    switched_on = ()

    def __init__(self, hook: ResumeHook) -> None:
        self._hook = hook

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        self._hook.validation_done(runner, metrics)


def gather_states(runner: Runner) -> None:
    """Have all processes give their states for the next checkpoint."""
    for hook in runner.hooks:
        if isinstance(hook, ResumeHook):
            hook.gather_states(runner)


def _reorder(runner: Runner, last: Hook) -> None:
    """Put early stopping before what saves, so that a checkpoint has its count."""
    hooks = runner._hooks
    early = [hook for hook in hooks if isinstance(hook, EarlyStoppingHook)]
    rest = [hook for hook in hooks if hook not in early and hook is not last]
    saving = [isinstance(hook, CheckpointHook) for hook in rest]
    place = saving.index(True) if True in saving else len(rest)
    hooks[:] = [*rest[:place], *early, *rest[place:], last]


def _counting(runner: Runner) -> Iterator[tuple[Hook, tuple[str, ...]]]:
    for kind, names in _COUNTED.items():
        for hook in runner.hooks:
            if isinstance(hook, kind):
                yield hook, names


def _plain(value: Any) -> float | bool:
    return value if isinstance(value, bool | int) else float(value)


def _loaders(runner: Runner) -> list[Any]:
    """Loaders of training and, if there is one, validation."""
    validation = runner._val_loop and runner.val_dataloader
    return [runner.train_dataloader, *([validation] if validation else [])]


def _has_iterator(loader: Any) -> bool:
    """True for persistent workers that run: a new epoch needs no new iterator."""
    return getattr(loader, '_iterator', None) is not None


def _amid_pass(runner: Runner) -> bool:
    """Return whether the unbroken run would go on with the iterator that it has."""
    loop = runner.train_loop
    if isinstance(loop, IterBasedTrainLoop):
        return True
    return loop.iter != loop.epoch * len(loop.dataloader)


def _sampler_seeds(runner: Runner) -> list[list[int | None]]:
    return [
        [getattr(sampler, 'seed', None) for sampler in samplers(loader)]
        for loader in _loaders(runner)
    ]


def _seed_loaders(runner: Runner, seeds: list[list[int | None]]) -> None:
    """Seed the loaders as the run did that was interrupted.

    Without a seed in the config they were built with a seed of this run's.
    """
    for loader, known in zip(_loaders(runner), seeds, strict=False):
        for sampler, seed in zip(samplers(loader), known, strict=False):
            if seed is not None and hasattr(sampler, 'seed'):
                sampler.seed = seed
        start = getattr(loader, 'worker_init_fn', None)
        if isinstance(start, partial) and start.func is worker_init_fn:
            keywords = start.keywords | {'seed': runner.seed}
            loader.worker_init_fn = partial(worker_init_fn, **keywords)


def _tell_metrics(runner: Runner, metrics: Mapping[str, Any]) -> None:
    for hook in runner.hooks:
        if isinstance(hook, SummaryHook):
            with calls_uncounted(runner, 'call_hook'):
                hook.after_val_epoch(runner, dict(metrics))
