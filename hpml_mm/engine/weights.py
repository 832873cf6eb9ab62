# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints: reading, checks that weights fit their model, export as safetensors.

Importing this module lets MMEngine load ``.safetensors`` wherever it takes a
checkpoint's path: ``load_from``, ``init_cfg``, ``tools/test.py``. Checkpoints of the
original HRNet code are understood as well.
"""

import json
import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hpml_mm.compat.safe_load import RefusedFileError
from hpml_mm.utils.file_kind import file_kind, why_unreadable
from hpml_mm.utils.files import replacing
from hpml_mm.utils.messages import listed
from hpml_mm.utils.model import bare_model

from .hrnet_weights import HRNetReport, is_original_hrnet, rename_hrnet
from .light_fer_weights import is_light_fer, rename_light_fer

_UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    EOFError,
    RuntimeError,
    AttributeError,
    KeyError,
    ValueError,
)


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors', force=True)
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a local ``.safetensors`` file as a checkpoint of MMEngine.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint {filename!r}')
    device = map_location if isinstance(map_location, str) else 'cpu'
    with safe_open(path, framework='pt', device=device) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        notes = file.metadata() or {}
    classes = json.loads(notes.get('classes', 'null'))
    meta = {'config_name': notes.get('config')}
    if classes:
        meta['dataset_meta'] = {'classes': tuple(classes)}
    return {'state_dict': state, 'meta': meta}


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read any checkpoint that MMEngine can.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read as a checkpoint.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu', 'silent')
    except _UNREADABLE as error:
        if isinstance(error, RefusedFileError) and error.unsafe:
            raise  # it says what to do
        reason = _reason(path, error.__cause__ or error)
        raise ValueError(f'{path} cannot be read as a checkpoint: {reason}') from error
    if not isinstance(checkpoint, Mapping):
        kind = type(checkpoint).__name__
        raise ValueError(f'{path} holds a {kind}, not a dict of weights')
    return dict(checkpoint)


def check_readable(path: str) -> None:
    """Refuse a truncated local checkpoint before the long work begins.

    Whole checkpoints of torch are ZIP files, whose table stands at their end, so only
    files of other kinds are read here.

    Raises:
        ValueError: If it cannot be read as a checkpoint.
    """
    place = Path(path).expanduser()
    if place.is_file():
        kind = file_kind(place)
        if kind is None or kind[0] != 'checkpoint':
            read_checkpoint(path)


def _reason(path: str, error: BaseException) -> str:
    place = Path(path).expanduser()
    if not place.is_file():  # an address, say
        return str(error).split('\n')[0]
    if str(error).startswith('Weights only load failed'):  # a page on PyTorch 2.6
        error = ValueError('it is no file of torch.save, or is damaged')
    if place.suffix == '.safetensors':
        return why_unreadable(place, error, ('safetensors',))
    return why_unreadable(place, error, ('checkpoint', 'pickle'))


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Take a checkpoint's weights, without the prefix of a distributed wrapper."""
    state = checkpoint.get('state_dict', checkpoint)
    if isinstance(checkpoint.get('net'), Mapping):  # as light FER writes them
        state = checkpoint['net']
    return {
        re.sub(r'^module\.', '', key): value
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def weights_for(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str
) -> tuple[dict[str, torch.Tensor], HRNetReport | None]:
    """Give a checkpoint's weights the model's names.

    Args:
        model: Model that they are meant for, unwrapped.
        checkpoint: As MMEngine reads it.
        source: Its file, for errors.

    Returns:
        The weights, and, where they come from the original HRNet code, what became
        of them.

    Raises:
        ValueError: If it shares no weight's name with the model.
    """
    state, wanted = state_dict_of(checkpoint), model.state_dict()
    if is_original_hrnet(state):
        return rename_hrnet(state, wanted, source)
    if is_light_fer(state):
        state = rename_light_fer(state)
    _check_names(source, state, wanted, 'this model')
    return state, None


def _check_names(
    source: str, state: Mapping[str, Any], wanted: Mapping[str, Any], owner: str
) -> None:
    if not state.keys() & wanted.keys():
        raise ValueError(
            f'{source} holds no weight of {owner}: it has {listed(state)}, the '
            f'model {listed(wanted)}. Is it the checkpoint of another config?'
        )


def check_start(
    source: str,
    state: Mapping[str, Any],
    wanted: Mapping[str, Any],
    owner: str = 'this model',
) -> None:
    """Refuse start weights of another network.

    A head for other classes may stay as it was drawn. Another network, such as a wider
    one, has the same names and a few equal shapes, and MMEngine trains on from those.

    Args:
        source: Origin of the weights, for errors.
        state: They, by name.
        wanted: Those of the model, or of the part that takes them.
        owner: Name of that part.

    Raises:
        ValueError: If less than half of the wanted weights are there in their shape.
    """
    _check_names(source, state, wanted, owner)
    fits = [
        key
        for key, weight in wanted.items()
        if key in state and state[key].shape == weight.shape
    ]
    if 2 * len(fits) < len(wanted):
        raise ValueError(
            f'{source} is of another model: it holds {len(fits)} of the {len(wanted)} '
            f'weights of {owner} in their shape'
        )


def check_pretrained(model: nn.Module) -> None:
    """Refuse an ``init_cfg`` of type ``Pretrained`` that loads no weight of its module.

    MMEngine logs the names that do not match and trains on from random weights.

    Raises:
        ValueError: If a checkpoint shares no weight with its module; it names the
            prefix under which they are there.
    """
    for name, module in model.named_modules():
        settings = getattr(module, 'init_cfg', None) or []
        for init in [settings] if isinstance(settings, Mapping) else settings:
            if init['type'] == 'Pretrained':
                _check_shared(name, module, init)


def _check_shared(name: str, module: nn.Module, init: Mapping[str, Any]) -> None:
    prefix = init.get('prefix') or ''
    prefix += '.' if prefix and not prefix.endswith('.') else ''
    state = state_dict_of(read_checkpoint(init['checkpoint']))
    wanted = module.state_dict()
    own = {
        key.removeprefix(prefix): weight
        for key, weight in state.items()
        if key.startswith(prefix)
    }
    if not own.keys() & wanted.keys():
        prefixes = {
            key.removesuffix(mine)
            for mine in wanted
            for key in state
            if key.endswith(mine)
        }
        for fit in sorted(prefixes):
            if all(f'{fit}{mine}' in state for mine in wanted):
                raise ValueError(
                    f'{init["checkpoint"]} holds the weights of {name or "the model"} '
                    f'under another name: set init_cfg.prefix={fit!r}'
                )
    check_start(init['checkpoint'], own, wanted, name or 'this model')


def load_fitting(model: nn.Module, path: str) -> None:
    """Load weights, and refuse a checkpoint that leaves some as initialised.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or one of another model.
    """
    model = bare_model(model)
    state, _ = weights_for(model, read_checkpoint(path), path)
    wanted = model.state_dict()
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a shape that differs
        reason = ' '.join(str(error).split('\n\t')[1:2]) or str(error)
        raise ValueError(f'{path} does not fit the model: {reason}') from error
    missing = [k for k in result.missing_keys if 'num_batches_tracked' not in k]
    if missing:
        raise ValueError(
            f'{path} lacks {len(missing)} of the {len(wanted)} weights of the model: '
            f'{listed(missing)}. Is it the checkpoint of another config?'
        )
    if result.unexpected_keys:
        print_log(
            f'{path} holds what the model has no use for: '
            f'{listed(result.unexpected_keys)}',
            logger='current',
            level=logging.WARNING,
        )


def export_weights(source: str, target: str, config: str | None = None) -> int:
    """Write the weights of a checkpoint alone, as safetensors.

    The classes and the name of the config go into the file's metadata.

    Args:
        source: Checkpoint of a training run.
        target: File to write; must end in ``.safetensors``.
        config: Name of the config; taken from the checkpoint where ``None``.

    Returns:
        Size of the file in bytes.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it holds no weights, or ``target`` has another ending.
    """
    if not target.endswith('.safetensors'):
        raise ValueError(f'{target} must end in .safetensors')
    write_safetensors(read_checkpoint(source), Path(target), config)
    return Path(target).stat().st_size


def write_safetensors(
    checkpoint: Mapping[str, Any], target: Path, config: str | None = None
) -> None:
    """Write the weights that a checkpoint holds, see :func:`export_weights`."""
    # safetensors stores no tensor twice: weights that are tied get copies.
    state = {k: v.clone().contiguous() for k, v in state_dict_of(checkpoint).items()}
    if not state:
        raise ValueError(f'there are no weights to write to {target}')
    meta = checkpoint.get('meta') or {}
    notes = {'format': 'pt'}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if classes:
        notes['classes'] = json.dumps(list(classes))
    config = config or _config_name(meta)
    if config:
        notes['config'] = config
    with replacing(target) as beside:
        save_file(state, beside, notes)


def _config_name(meta: Mapping[str, Any]) -> str | None:
    """A run's experiment name is its config's, with the time it started."""
    name = str(meta.get('experiment_name', ''))
    found = re.fullmatch(r'(.+)_\d{8}_\d{6}', name)
    return found[1] if found else meta.get('config_name')
