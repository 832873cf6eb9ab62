# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from pathlib import Path

import optuna
import pytest
from toy_tools import DATA, TOY

from hpml_mm.config.overrides import load_config, read_config
from hpml_mm.experiments.search.leaf import write_leaf
from hpml_mm.experiments.search.space import (
    apply_space,
    check_space,
    read_space,
)

ROOT = Path(__file__).resolve().parents[3]
LIGHT_FER = ROOT / 'configs/_base_/spaces/light_fer.py'
RECIPE = (
    ROOT / 'configs/fer/mini-xception_1xb128-bf16-sgd-channels-last-step-array-12e_'
    'fer2013-44px.py'
)
OPTIMIZER = 'optim_wrapper.optimizer'
SPACE = f"""
space = {{
    '{OPTIMIZER}': dict(type='choice', choices=dict(
        sgd=dict(type='SGD', lr=0.1, momentum=0.9), adam=dict(type='Adam', lr=0.1))),
    '{OPTIMIZER}.lr': dict(type='float', low=0.001, high=0.1, log=True),
    '{OPTIMIZER}.weight_decay': dict(
        type='float', low=1e-5, high=1e-2, log=True, when={{'{OPTIMIZER}': 'sgd'}}),
    'train_dataloader.batch_size': dict(type='int', low=2, high=8, step=2),
}}
"""


@pytest.fixture(autouse=True)
def _toy_parts(monkeypatch):
    monkeypatch.syspath_prepend(DATA)


@pytest.fixture
def space(tmp_path):
    path = tmp_path / 'space.py'
    path.write_text(SPACE)
    return read_space(path)


def fixed(space, **params):
    """What a trial with these parameters chooses."""
    return space.suggest(optuna.trial.FixedTrial(params))


def test_a_condition_decides_which_parameters_count(space):
    common = {f'{OPTIMIZER}.lr': 0.01, 'train_dataloader.batch_size': 4}
    sgd = {OPTIMIZER: 'sgd', f'{OPTIMIZER}.weight_decay': 1e-3, **common}
    assert fixed(space, **sgd) == sgd
    adam = {**sgd, OPTIMIZER: 'adam'}
    assert f'{OPTIMIZER}.weight_decay' not in fixed(space, **adam)


def test_a_chosen_dict_replaces_the_one_of_the_config(space):
    cfg = read_config(str(TOY))
    cfg.optim_wrapper.optimizer.nesterov = True
    chosen = {OPTIMIZER: 'sgd', f'{OPTIMIZER}.lr': 0.02}
    apply_space(cfg, space.options(chosen))
    assert cfg.optim_wrapper.optimizer.to_dict() == {
        'type': 'SGD',
        'lr': 0.02,
        'momentum': 0.9,
    }
    apply_space(cfg, space.options({OPTIMIZER: 'adam'}))
    assert cfg.optim_wrapper.optimizer.to_dict() == {'type': 'Adam', 'lr': 0.1}


def test_the_space_is_checked_against_the_config(space, tmp_path):
    check_space(space, str(TOY), {})
    path = tmp_path / 'wrong.py'
    path.write_text(SPACE.replace("optimizer.lr'", "optimizer.lrr'"))
    with pytest.raises(ValueError, match="'lrr'.*'lr'"):
        check_space(read_space(path), str(TOY), {})
    # Of a branch that only one choice reaches, too.
    path.write_text(SPACE.replace('.weight_decay', '.weight_decoy'))
    with pytest.raises(ValueError, match='weight_decoy'):
        check_space(read_space(path), str(TOY), {})
    # Of an option, the space is not accused.
    with pytest.raises(ValueError, match='optimizr') as caught:
        check_space(space, str(TOY), {'optim_wrapper.optimizr.lr': 1})
    assert 'space' not in str(caught.value)


@pytest.mark.parametrize(
    ('old', 'new', 'told'),
    [
        ("type='int'", "type='integer'", "'integer'"),
        ('low=2, high=8', 'low=8, high=2', 'low is 8'),
        ('low=2, high=8', 'lo=2, high=8', "'lo'.*'low'"),
        ('low=0.001', 'low=0', 'log=True needs low above 0'),
        ("'sgd'}", "'sdg'}", "'sdg'"),
        (f"when={{'{OPTIMIZER}'", "when={'model.width'", "'model.width'"),
        (f"when={{'{OPTIMIZER}'", f"when={{'{OPTIMIZER}.lr'", 'no choice'),
        (f"when={{'{OPTIMIZER}': 'sgd'}}", "when='sgd'", "weight_decay: when is 'sgd'"),
        ('step=2', 'step=-2', 'step -2'),
        ('space = {', 'spaces = {', 'set space'),
        ('space = {', 'space = {{', 'cannot load the space'),
    ],
)
def test_a_wrong_space_is_told_with_its_place(tmp_path, old, new, told):
    assert old in SPACE
    path = tmp_path / 'space.py'
    path.write_text(SPACE.replace(old, new))
    with pytest.raises(ValueError, match=told) as caught:
        read_space(path)
    assert 'space.py' in str(caught.value)


def test_a_choice_that_is_no_plain_value_needs_a_label(tmp_path):
    path = tmp_path / 'space.py'
    path.write_text("space = {'a': dict(type='choice', choices=[dict(b=1), 2])}")
    with pytest.raises(ValueError, match='needs a label'):
        read_space(path)
    path.write_text("space = {'a': dict(type='choice', choices=[1])}")
    with pytest.raises(ValueError, match='at least two'):
        read_space(path)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_space(tmp_path / 'nowhere.py')


def test_a_grid_has_all_values_of_numbers_with_a_step(space):
    *_, weight_decay, batch_size = space.parameters
    assert batch_size.grid() == [2, 4, 6, 8]
    with pytest.raises(ValueError, match='with a step'):
        weight_decay.grid()


def test_light_fers_space_fits_its_recipe_and_has_480_settings():
    space = read_space(LIGHT_FER)
    check_space(space, str(RECIPE), {})
    count = 1
    for one in space.parameters:
        count *= len(one.grid())
    assert count == 5 * 2 * 4 * 3 * 4


def test_a_leaf_holds_the_change_and_no_more(space, tmp_path):
    chosen = {OPTIMIZER: 'adam', 'train_dataloader.batch_size': 2}
    path = tmp_path / 'leaf.py'
    write_leaf(path, str(TOY), lambda cfg: apply_space(cfg, space.options(chosen)))
    base, *lines = path.read_text().splitlines()
    assert base.startswith('_base_ = ')
    assert sorted(line.partition(' ')[0] for line in lines) == [
        'optim_wrapper',
        'train_dataloader',
    ]
    expected = read_config(str(TOY))
    apply_space(expected, space.options(chosen))
    assert load_config(str(path)).to_dict() == expected.to_dict()


def test_a_leaf_behind_a_link_finds_its_base(tmp_path):
    """As where work_dirs is a link to a larger disk."""
    (tmp_path / 'config.py').write_text('number = 1\n')
    (tmp_path / 'disk' / 'deep').mkdir(parents=True)
    (tmp_path / 'work_dirs').symlink_to(tmp_path / 'disk' / 'deep')
    bases = []
    for folder in ('work_dirs', 'disk/deep'):
        path = tmp_path / folder / 'leaf.py'
        write_leaf(path, str(tmp_path / 'config.py'), lambda cfg: None)
        assert read_config(str(path)).number == 1
        bases.append(path.read_text())
    # Whole folders can be moved where there is no link.
    assert bases[1] == "_base_ = '../../config.py'\n"


def test_a_leaf_writes_a_list_whole_and_takes_keys_away(tmp_path):
    path = tmp_path / 'leaf.py'

    def change(cfg):
        cfg.param_scheduler = [{'type': 'StepLR', 'step_size': 1, 'gamma': 0.5}]
        del cfg.train_dataloader['batch_size']
        cfg.train_dataloader['batch_sampler'] = {
            'type': 'A',
            'b-c': (1, None),
            'c': {'if': 2},
        }

    expected = read_config(str(TOY))
    change(expected)
    write_leaf(path, str(TOY), change)
    assert read_config(str(path)).to_dict() == expected.to_dict()
    assert '_delete_' in path.read_text()
