# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The claims of a leaf config's file name.

A face's: ``{model}_{GPUS}xb{BATCH}[-variant]*-{EPOCHS}e_{dataset}-{px}px.py``. One of
poses, boxes or maps has more in front, as MMPose's have, and names height and width:
``[e{NUMBER}_]{algorithm}_{model}_..._{dataset}-{H}x{W}[-hm{H}x{W}].py``, where ``hm``
is the heatmap's size if that is not a quarter of the input's (of ``td-hm`` alone).

``_`` stands between the parts, ``-`` inside a part. A variant that is not named has
the default of its model and task. ``leaves.py`` compares every claim with the config.
"""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import torch

_OPTIMIZERS = sorted(
    n.lower() for n, c in vars(torch.optim).items() if isinstance(c, type)
)

#: The variants of each axis, as regular expressions, in the order of their place.
VARIANTS = {
    'weights': ('pretrained', 'finetune'),
    'precision': ('fp16', 'bf16', 'amp'),
    'fp32_layers': ('measured',),  # by what each layer takes on the machine
    'optimizer': ('sgd-nesterov', *_OPTIMIZERS),
    'lr': (r'lr\de-\d',),
    'lr_scaling': ('scaled-lr',),
    'compile': ('compile',),
    'memory_format': ('channels-last',),
    'averaging': ('ema',),
    'batch_norm': ('bn99',),
    'head': ('skip',),
    'sigma': (r'sigma\d+',),  # times the source's at that size
    'selection': ('no-crossing', 'first10k'),
    'boxes': ('detected-test-dev', 'detected'),
    'class_balance': ('balanced', 'weighted-loss'),
    'scaling': ('stand-flops',),  # of a predictor's labels
    'augmentation': (
        'jitter-blur',
        'rotate',
        'halfbody-translation',
        'halfbody',
        'translation',
        'albumentation',
        'photometric-legacy',
        'photometric',
        'heavy-legacy',
        'heavy',
    ),
    'schedule': ('step-tuned', 'step', r'warmup\d+', 'nowarmup'),
    'input': ('array', 'fused-input'),
    'workers': (r'workers\d+',),
}

_WORD = r'[a-z0-9]+(?:-[a-z0-9]+)*'
_MODEL = re.compile(_WORD)
_TRAINING = re.compile(
    r'(?P<gpus>\d+)xb(?P<batch>\d+)(?P<variants>-.+)?-(?P<epochs>\d+)e'
)
_DATA = re.compile(rf'(?P<dataset>{_WORD})-(?P<px>\d+)px')
_POSE_DATA = re.compile(
    rf'(?P<dataset>{_WORD})-(?P<size>\d+x\d+)(?:-hm(?P<heatmap>\d+x\d+))?'
)
_EXPERIMENT = re.compile(r'e\d\d[a-z]?')
_FORM = '{model}_{GPUS}xb{BATCH}[-variant]*-{EPOCHS}e_{dataset}-{px}px.py'
_POSE_FORM = (
    '[e{NUMBER}_]{algorithm}_{model}_{GPUS}xb{BATCH}[-variant]*-{EPOCHS}e_'
    '{dataset}-{H}x{W}[-hm{H}x{W}].py'
)


@dataclass(frozen=True)
class LeafName:
    """The claims of a leaf's file name.

    Attributes:
        model: The network.
        gpus: Number of processes that the learning rate is meant for.
        batch_size: Samples of each process in a step.
        epochs: Length of the training.
        dataset: The data.
        size: Height and width of the network's input in pixels.
        variants: For each axis that is named, the variant: see :data:`VARIANTS`.
        algorithm: MMPose's name of the method, such as ``td-hm``, for poses;
            MMDetection's, such as ``retinanet``, for boxes and maps.
        heatmap: Height and width of the heatmaps, for poses.
        experiment: Number of the experiment in the source, if it is one's.
    """

    model: str
    gpus: int
    batch_size: int
    epochs: int
    dataset: str
    size: tuple[int, int]
    variants: dict[str, str] = field(default_factory=dict)
    algorithm: str = ''
    heatmap: tuple[int, int] | None = None
    experiment: str = ''


def parse_leaf_name(path: str | Path) -> LeafName:
    """Read the claims of a file name.

    Args:
        path: The config's path or file name; only the file name counts.

    Raises:
        ValueError: If a part does not follow the grammar; it names the part, what
            is wrong with it, and what it should look like.
    """
    name = Path(path).name
    parts = name.removesuffix('.py').split('_')
    if len(parts) == 3:
        data = _match(_DATA, parts[2], name, 'data', '{dataset}-{px}px')
        return LeafName(size=(int(data['px']),) * 2, **_training(parts, data, name))
    if len(parts) in (4, 5):
        return _pose(parts, name)
    raise ValueError(
        f'config name {name!r}: {len(parts)} parts between "_", but it needs '
        f'three, {_FORM}, or for a pose four or five, {_POSE_FORM}'
    )


def _pose(parts: list[str], name: str) -> LeafName:
    *experiment, algorithm, model, training, data = parts
    if experiment:
        _match(_EXPERIMENT, parts[0], name, 'experiment', 'e{two digits}')
    _match(_MODEL, algorithm, name, 'algorithm', 'lower-case words joined by "-"')
    form = '{dataset}-{H}x{W}[-hm{H}x{W}]'
    data = _match(_POSE_DATA, data, name, 'data', form)
    size = _size(data['size'])
    quarter = (size[0] // 4, size[1] // 4) if 'hm' in algorithm.split('-') else None
    return LeafName(
        size=size,
        heatmap=_size(data['heatmap']) if data['heatmap'] else quarter,
        algorithm=algorithm,
        experiment=''.join(experiment),
        **_training([model, training], data, name),
    )


def _size(text: str) -> tuple[int, int]:
    height, width = text.split('x')
    return int(height), int(width)


def _training(parts: list[str], data: re.Match, name: str) -> dict:
    """The claims that names of all tasks make."""
    model, training = parts[:2]
    _match(_MODEL, model, name, 'model', 'lower-case words joined by "-"')
    train = _match(
        _TRAINING, training, name, 'training', '{GPUS}xb{BATCH}[-variant]*-{EPOCHS}e'
    )
    return {
        'model': model,
        'gpus': int(train['gpus']),
        'batch_size': int(train['batch']),
        'epochs': int(train['epochs']),
        'dataset': data['dataset'],
        'variants': _parse_variants((train['variants'] or '').removeprefix('-'), name),
    }


def _match(pattern: re.Pattern, part: str, name: str, what: str, form: str) -> re.Match:
    match = pattern.fullmatch(part)
    if match is None:
        raise ValueError(
            f'config name {name!r}: the {what} part {part!r} is not of the form {form}'
        )
    return match


def _parse_variants(text: str, name: str) -> dict[str, str]:
    """Take the variants off the front of the text, axis by axis."""
    found, rest = {}, text
    for axis, variants in VARIANTS.items():
        match = re.match(rf'({"|".join(variants)})(?:-|$)', rest)
        if match:
            found[axis] = match[1]
            rest = rest[match.end() :]
    if rest:
        raise ValueError(f'config name {name!r}: {_diagnosis(rest)}')
    return found


def _diagnosis(rest: str) -> str:
    """Say why the first variant of the text is not accepted where it stands."""
    for axis, variants in VARIANTS.items():
        if re.match(rf'({"|".join(variants)})(?:-|$)', rest):
            return (
                f'the variant of {axis} at {rest!r} is out of order or there twice; '
                f'the order is: {", ".join(VARIANTS)}'
            )
    known = [variant for variants in VARIANTS.values() for variant in variants]
    words = rest.split('-')
    for length in (2, 1):
        near = get_close_matches('-'.join(words[:length]), known, 1)
        if near:
            return f'unknown variant at {rest!r}; did you mean {near[0]!r}?'
    return f'unknown variant at {rest!r}; known: {", ".join(known)}'
