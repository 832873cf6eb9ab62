# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""docs/migrating.md: what is new there can be built, and what is old is gone."""

import ast
import pkgutil
import re

import mmpose.registry
import mmpretrain.registry
import pytest
import torch
from doc_commands import ROOT, files
from mmengine import registry as registries
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import load_checkpoint
from mmengine.utils import import_modules_from_strings

import hpml_mm.models  # noqa: F401
from hpml_mm.config.check import check_config
from hpml_mm.config.overrides import read_config

PAGE = 'docs/migrating.md'
TEXT = (ROOT / PAGE).read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```python\n(# .*?\n)(.*?)^```', TEXT, re.M | re.S)
BEFORE = [code for first, code in BLOCKS if first == '# before\n']
CODE = [c for first, c in BLOCKS if first == '# after\n' and 'class ' in c]
PARTS = [c for first, c in BLOCKS if first == '# after\n' and 'class ' not in c]
ROWS = [
    [re.findall('`([^`]+)`', cell) for cell in line.split(' | ')]
    for line in re.findall(r'^\| (`.*) \|$', TEXT, re.M)
]
ROOTS = [
    value
    for module in (registries, mmpretrain.registry, mmpose.registry)
    for value in vars(module).values()
    if isinstance(value, Registry)
]
# Kept with other arguments, or for something else.
STAY = {
    *('RepeatDataset', 'Resize', 'RandomFlip', 'Normalize'),
    *('ImageToTensor', 'ToTensor', 'Collect', 'AssociativeEmbedding'),
}
OURS = re.compile(r'hpml_mm\.(\w+)')
NAME = re.compile(r'[A-Z]([A-Za-z0-9]*[a-z][A-Za-z0-9]*|ME)(?=$|\()')


@pytest.fixture(scope='module', autouse=True)
def _libraries():
    import_modules_from_strings(['mmpretrain.models', 'mmpose.models', 'mmpose.codecs'])


def exists(dotted: str) -> bool:
    try:
        return pkgutil.resolve_name(dotted) is not None
    except (ImportError, AttributeError):
        return False


def registered(name: str) -> bool:
    scopes = ('mmengine', 'mmpretrain', 'mmpose', 'hpml_mm')
    full = [f'{scope}.{name}' for scope in scopes]
    return any(root.get(one) is not None for root in ROOTS for one in full)


def split(cells: list[str]) -> tuple[list[str], list[str]]:
    """Dotted names to import, and names of a registry."""
    dotted = [c for c in cells if re.fullmatch(r'mm\w+(\.\w+)+', c)]
    plain = [c.partition('(')[0] for c in cells if NAME.match(c)]
    return dotted, plain


@pytest.mark.slow
def test_names_before_are_gone_and_names_after_are_there():
    wrong, counts = [], [0, 0]
    for old, new in ROWS:
        for cells, there in ((old, False), (new, True)):
            dotted, plain = split(cells)
            found = {name: exists(name) for name in dotted}
            found |= {f'hpml_mm.{n}': registered(n) for n in OURS.findall(str(cells))}
            found |= {n: registered(n) for n in plain if n not in STAY}
            wrong += [(name, there) for name, known in found.items() if known != there]
            counts[there] += len(found)
    assert wrong == []
    assert min(counts) >= 50


@pytest.mark.parametrize('code', BEFORE, ids=range(len(BEFORE)))
def test_each_old_block_is_what_someone_had(code):
    """It is Python, and has names that the new libraries do not know."""
    assert ast.parse(code).body
    old = {name for row in ROWS for name in split(row[0])[1]}
    keys = {'optimizer', 'lr_config', 'data', 'log_config', 'auto_fp16'}
    used = set(re.findall(r'\w+', code))
    assert used & (old | keys)


@pytest.mark.parametrize('code', PARTS, ids=range(len(PARTS)))
def test_each_new_block_is_a_config(code, tmp_path):
    path = tmp_path / 'part.py'
    path.write_text(f"default_scope = 'mmengine'\n{code}")
    cfg = Config.fromfile(path)
    check_config(cfg)
    build_parts(cfg, torch.nn.Linear(1, 1), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['my_classifier.py', 'my_pose.py'])
def test_each_whole_config_is_built(name, tmp_path):
    path = tmp_path / name
    path.write_text(files(PAGE)[name])
    cfg = read_config(str(path))
    check_config(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        cfg.model.backbone.pop('init_cfg', None)
        if 'data_preprocessor' in cfg:
            cfg.model.data_preprocessor = cfg.data_preprocessor
        model = registries.MODELS.build(cfg.model)
        build_parts(cfg, model, tmp_path)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            for step in loader.dataset.pipeline:
                registries.TRANSFORMS.build(step)
            kind = f'{cfg.default_scope}.{loader.dataset.type}'
            assert registries.DATASETS.get(kind)
        if name == 'my_pose.py':
            old_names(model, tmp_path)


def build_parts(cfg, model, folder):
    """Build optimizer, schedules, hooks and visualizer of a config."""
    if 'optim_wrapper' in cfg:
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        schedules = cfg.param_scheduler
        for one in schedules if isinstance(schedules, list) else [schedules]:
            registries.PARAM_SCHEDULERS.build(one, default_args={'optimizer': wrapper})
    default = list(cfg.get('default_hooks', {}).values())
    for hook in [*default, *cfg.get('custom_hooks', [])]:
        registries.HOOKS.build(hook)
    if 'visualizer' in cfg:
        more = {'save_dir': str(folder), 'name': folder.name}
        registries.VISUALIZERS.build(cfg.visualizer, default_args=more)


def old_names(model, folder):
    """Weights under the names of MMPose 0.x load without a difference."""
    weights = model.state_dict()
    old = {k.replace('head.', 'keypoint_head.'): v + 1 for k, v in weights.items()}
    torch.save({'state_dict': old}, folder / 'old.pth')
    expected = {name: value + 1 for name, value in weights.items()}
    load_checkpoint(model, str(folder / 'old.pth'), strict=True)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_the_code_after_works():
    names: dict = {}
    for code in CODE:
        exec(compile(code, PAGE, 'exec'), names)
    registries.HOOKS.build({'type': 'GradNormHook'})
    model = registries.MODELS.build({'type': 'TinyAfter'})
    sample = type('Sample', (), {'gt_label': torch.tensor([1])})()
    losses = model(torch.zeros(1, 3, 4, 4), [sample], mode='loss')
    assert model.parse_losses(losses)[0].requires_grad
