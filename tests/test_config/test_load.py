# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from mmengine.config import Config

from hpml_mm.config.overrides import apply_options, changed_options, read_config

FILE = """
root = 'faces'
size = 4
rate = 0.1
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(data_root=root))
model = dict(type='Any', test_cfg=dict(flip_test=True), shape=(size, size))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=rate))
"""


@pytest.fixture
def cfg() -> Config:
    return Config.fromstring(FILE, '.py')


def test_options_are_merged(cfg):
    apply_options(cfg, {'train_dataloader.batch_size': 8, 'val_cfg': {}})
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.val_cfg == {}


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('train_dataloder.batch_size', "unknown key 'train_dataloder'; did you mean"),
        ('xyz', "unknown key 'xyz'; no part of a run has this name"),
        ('train_dataloader.batchsize', "did you mean 'batch_size'"),
        ('model.test_cfg.flip_tets', "did you mean 'flip_test'"),
        ('optim_wrapper.optimizer.lr.x', 'cannot apply'),
        ('train_dataloader.dataset.transforms.0.a', None),
    ],
)
def test_an_option_for_nothing_is_refused(cfg, key, message):
    if message is None:  # a new part: what builds it will check it
        apply_options(cfg, {key: 3})
        return
    with pytest.raises(ValueError, match=message):
        apply_options(cfg, {key: 3})


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('root', 'change nothing; set train_dataloader.dataset.data_root'),
        ('size', 'change nothing; set the parts that use it'),
    ],
)
def test_a_variable_that_was_used_already_is_refused(cfg, key, message):
    if key == 'root':
        cfg.train_dataloader.dataset = dict(root='faces')
        message = message.replace('data_root', 'root')
    with pytest.raises(ValueError, match=message):
        apply_options(cfg, {key: 'other'})


def test_options_equal_to_the_config_change_nothing(cfg):
    options = {
        'train_dataloader.batch_size': 2,
        'model.shape': [4, 4],
        'optim_wrapper.optimizer.lr': 0.2,
        'val_cfg': None,
    }
    assert changed_options(cfg, options) == {
        'optim_wrapper.optimizer.lr': 0.2,
        'val_cfg': None,
    }


def test_a_list_entry_is_reached_by_its_index():
    cfg = Config({'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.1}]})
    assert changed_options(cfg, {'custom_hooks.0.momentum': 0.1}) == {}
    apply_options(cfg, {'custom_hooks.0.momentum': 0.2})
    assert cfg.custom_hooks[0].momentum == 0.2
    with pytest.raises(ValueError, match='Index 3 exceeds'):
        apply_options(cfg, {'custom_hooks.3.momentum': 0.2})


def test_a_missing_file_suggests_a_similar_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs' / 'fer').mkdir(parents=True)
    (tmp_path / 'configs' / 'fer' / 'resnet50_fer.py').touch()
    with pytest.raises(FileNotFoundError, match=r'mean configs/fer/resnet50_fer.py\?'):
        read_config('configs/resnet50_fre.py')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a = (', 'SyntaxError'),
        ('a = b', "NameError: name 'b' is not defined"),
        ("custom_imports = dict(imports=['not_there'])", 'ImportError'),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why(tmp_path, text, message):
    path = tmp_path / 'bad.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=rf'cannot load the config .*{message}'):
        read_config(str(path))
