# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Continue a training from where its checkpoint was written.

MMEngine starts a resumed epoch from its first batch, whatever iteration the
checkpoint was written at: the iteration count overruns and the first batches
are seen twice. A validation that was due there, but not done, it leaves out.
"""

import difflib
import logging
import types
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from hpml_mm.utils.messages import listed

from .batches import is_batched, samplers, skip_batches
from .weights import read_checkpoint, state_dict_of


def batches_done(loop: EpochBasedTrainLoop) -> int:
    """Batches of the loop's current epoch that were trained before a resume.

    Returns:
        0 at an epoch's start, and where the count cannot be right because the
        epoch's length is no longer that of the checkpoint.
    """
    length = len(loop.dataloader)
    done = loop.iter - loop.epoch * length
    if 0 <= done <= length:
        return done
    print_log(
        f'The checkpoint was written at iteration {loop.iter} of epoch '
        f'{loop.epoch + 1}, which does not fit epochs of {length} iterations '
        '(another batch size or number of processes?): this epoch starts at its '
        'first batch',
        logger='current',
        level=logging.WARNING,
    )
    return 0


def continue_epoch(loop: EpochBasedTrainLoop) -> None:
    """Make the next ``run_epoch`` of a resumed loop train the rest of its epoch.

    Iteration count, schedule and order of the data become those of a run that
    was never interrupted. Random states are ``hpml_mm.ResumeHook``'s part.
    """
    if type(loop).run_epoch is not EpochBasedTrainLoop.run_epoch:
        return  # a loop of its own kind knows best
    done = batches_done(loop)
    if done:
        loop.run_epoch = types.MethodType(_run_rest(done), loop)


def _run_rest(done: int):
    def run_epoch(loop: EpochBasedTrainLoop) -> None:
        del loop.run_epoch  # only this once
        loop.runner.logger.info(f'continuing the epoch after its batch {done}')
        loop.runner.call_hook('before_train_epoch')
        loop.runner.model.train()
        for index, batch in enumerate(_rest(loop.dataloader, done), start=done):
            loop.run_iter(index, batch)
        loop.runner.call_hook('after_train_epoch')
        loop._epoch += 1

    return run_epoch


def _rest(dataloader: Any, done: int) -> Any:
    """The batches after the first ``done``, unloaded where possible."""
    if is_batched(dataloader):
        skip_batches(dataloader, done)
        return dataloader
    return islice(iter(dataloader), done, None)


def continue_iterations(loop: IterBasedTrainLoop) -> None:
    """Make a resumed loop by iterations go on within its pass over the data.

    MMEngine skips at once where the sampler has a ``skip``, as ``InfiniteSampler``
    has. Of other samplers it would load what was trained already, with workers, and
    wait two seconds at the end of each pass.
    """
    iterator, loader = loop.dataloader_iterator, loop.dataloader
    if not is_batched(loader) or iterator._resolve_sampler() is not None:
        return
    length = len(loader.batch_sampler)

    def skip_iter(num_iters: int) -> None:
        # At a pass's end the iterator begins the next one itself.
        passes, last = divmod(max(num_iters, 1) - 1, length)
        iterator._epoch = passes
        for sampler in samplers(loader):
            if passes and hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(passes)
        skip_batches(loader, last + 1)

    iterator.skip_iter = skip_iter


# Of MMEngine's message hub in a checkpoint; each is a dict.
_HUB = ('log_scalars', 'runtime_info', 'resumed_keys')


def validation_due(runner: Runner) -> bool:
    """Return whether MMEngine's loop validates where a resumed training stands."""
    loop = runner.train_loop
    if runner._val_loop is None or not loop.iter:
        return False
    if type(loop).run is EpochBasedTrainLoop.run:
        done, end = loop.epoch, loop.max_epochs
        if loop.iter != done * len(loop.dataloader):  # amid the next epoch
            return False
    elif type(loop).run is IterBasedTrainLoop.run:
        done, end = loop.iter, loop.max_iters
    else:
        return False
    loop._decide_current_val_interval()
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)


def check_resumable(checkpoint: Mapping[str, Any], source: str) -> None:
    """Refuse to resume from weights alone.

    Raises:
        ValueError: It holds no state of a training; the message says what to use.
    """
    meta, hub = checkpoint.get('meta') or {}, checkpoint.get('message_hub') or {}
    counted = all(isinstance(meta.get(key), int) for key in ('epoch', 'iter'))
    kept = [hub.get(key) for key in _HUB] if isinstance(hub, Mapping) else [None]
    if not counted or not all(isinstance(part, Mapping) for part in kept):
        raise ValueError(
            f'{source} holds no state of a training to resume: start from its weights '
            'with --cfg-options load_from=...'
        )


def forget_speeds(checkpoint: dict[str, Any]) -> None:
    """Take out the names of scalars that are not resumed, such as speeds.

    MMEngine saves these names without their values, and warns of each when it loads
    them.
    """
    keys = checkpoint['message_hub']['resumed_keys']
    for name in [name for name, resumed in keys.items() if not resumed]:
        del keys[name]


def check_checkpoint(path: str | None, resumes: bool = False) -> None:
    """Read a local checkpoint before the long work begins, and forget it.

    It is read whole: nothing else tells a hostile file, or a damaged part of it.

    Args:
        path: Its file; an address is left to MMEngine.
        resumes: True if a training is to go on from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, holds no weights, or nothing to resume.
    """
    if not path or '://' in path or Path(path).is_dir():
        return
    if not Path(path).expanduser().exists():
        raise FileNotFoundError(f'no checkpoint {path!r}{_alike(path)}')
    checkpoint = read_checkpoint(path)
    if resumes:
        check_resumable(checkpoint, path)
    if not state_dict_of(checkpoint):
        raise ValueError(f'{path} holds no weights: it has {listed(checkpoint)}')


def _alike(path: str) -> str:
    """Hint at the files of the folder that are checkpoints."""
    folder = Path(path).expanduser().parent
    there = [one.name for one in sorted(folder.glob('*.pth'))]
    there += [one.name for one in sorted(folder.glob('*.safetensors'))]
    close = difflib.get_close_matches(Path(path).name, there, n=1)
    if close:
        return f'; did you mean {folder / close[0]}?'
    return f'; {folder} holds {listed(there) or "none"}'
