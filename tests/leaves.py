# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs, and their content in the words of a file name.

A network or a size of its own needs no line here: its file in ``_base_/`` gives the
word, and its ``name_defaults`` what goes without saying.
"""

import ast
from functools import cache
from pathlib import Path

import aiop_leaves
import animal_leaves
import fer_leaves
import pose_leaves
from leaf_content import NoWord, kind
from leaf_names import parse_leaf_name
from mmengine.config import Config

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
POSE_LEAVES = [leaf for leaf in LEAVES if '_pose/' in leaf]
AIOP_LEAVES = [leaf for leaf in LEAVES if leaf.startswith('aiop/')]
ANIMAL_LEAVES = [leaf for leaf in LEAVES if leaf.startswith('animals/')]
OTHERS = POSE_LEAVES + AIOP_LEAVES + ANIMAL_LEAVES
FER_LEAVES = [leaf for leaf in LEAVES if leaf not in OTHERS]
TASKS = {'mmpretrain': fer_leaves, 'mmpose': pose_leaves, 'mmengine': aiop_leaves}


@cache
def read(path):
    return Config.fromfile(path)


def load(leaf):
    return read(CONFIGS / leaf)


def bases(path):
    """Our own files that a config names in ``_base_``."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            value = ast.literal_eval(node.value)
            names = [value] if isinstance(value, str) else value
            return [(path.parent / n).resolve() for n in names if '::' not in n]
    return []


def ancestors(path):
    """All files that a config stands on, the nearest first."""
    nearest = bases(path)
    return nearest + [file for base in nearest for file in ancestors(base)]


def depth(path):
    return 1 + max((depth(base) for base in bases(path)), default=0)


def part(path, *folders):
    """The file of one of these folders of ``_base_`` that a config stands on."""
    for file in ancestors(path):
        if file.parent.name in folders:
            return file
    raise NoWord(f'it stands on no file of _base_/{" or _base_/".join(folders)}')


def network_word(path):
    """The word of the network: its base's file name, if nothing else has changed it."""
    base = part(path, 'models', 'backbones')
    word, own = base.stem.replace('_', '-'), read(base)
    wanted = own.get('network') or own.model
    if architecture(wanted) != architecture(read(path).model):
        raise NoWord(
            f'model: its network is not that of {base.name}; write a base of it'
        )
    return word


def architecture(model):
    """The settings of a backbone or encoder that make it the network that it is."""
    backbone = model.get('backbone') or model.encoder
    # Which of its maps are used, and whose code it is, is none of them.
    other = ('init_cfg', 'bn_momentum', 'out_indices', 'type')
    settings = {k: v for k, v in backbone.items() if k not in other}
    return {'type': kind(backbone), **settings}


def content(path):
    """What a config is, by axis."""
    cfg = read(path)
    defaults = cfg.get('name_defaults')
    if defaults is None:
        raise NoWord(f'{part(path, "models", "topdown").name} has no name_defaults')
    animals = path.parent.name == 'animals'  # six tasks of three packages
    task = animal_leaves if animals else TASKS[cfg.default_scope]
    found = task.content(cfg, defaults)
    schedule = read(part(path, 'schedules')).param_scheduler
    warmups = [s[0].end for s in (cfg.param_scheduler, schedule) if len(s) == 2]
    if len(set(warmups)) > 1:
        found['schedule'] = f'warmup{warmups[0]}'
    elif len(schedule) == 2 and len(cfg.param_scheduler) == 1:
        found['schedule'] = 'nowarmup'
    batch_size = cfg.train_dataloader.batch_size
    processes = cfg.auto_scale_lr.base_batch_size / batch_size
    scaled = cfg.auto_scale_lr.get('enable')
    return {
        'model': network_word(path),
        'gpus': 1 if scaled else processes,
        'batch_size': batch_size,
        'epochs': cfg.train_cfg.max_epochs,
        **{axis: word for axis, word in found.items() if word},
    }


def name_problems(path):
    """One line for each word of a file name that is missing or wrong."""
    name = parse_leaf_name(path)
    said = {**vars(name), **name.variants}
    said = {k: v for k, v in said.items() if v and k not in ('experiment', 'variants')}
    try:
        found = content(path)
    except NoWord as error:
        return [f'{path.name}: {error}']
    problems = []
    for axis in sorted(said.keys() | found.keys()):
        one, other = said.get(axis), found.get(axis)
        if one is None:
            problems.append(f'{path.name}: the word {other!r} is missing ({axis})')
        elif one != other:
            right = f'is {other!r}' if other else 'has the default'
            problems.append(f'{path.name}: {one!r} is wrong, the {axis} {right}')
    return problems
