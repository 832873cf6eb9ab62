# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What stock recipes misspell is forgiven to those who inherit it, not to others."""

import re

import pytest

import hpml_mm  # noqa: F401  # mmpose without compiled ops
from hpml_mm.config.overrides import load_config

TWINS = 'mmpretrain::twins/twins-svt-base_8xb128_in1k.py'  # holds `_delete=True`
FER = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'


def test_an_inherited_slip_is_forgiven(tmp_path):
    (tmp_path / 'base.py').write_text(f"_base_ = '{TWINS}'\n")
    (tmp_path / 'leaf.py').write_text("_base_ = 'base.py'\n")
    cfg = load_config(str(tmp_path / 'leaf.py'))
    assert '_delete' in str(cfg.to_dict())


@pytest.mark.parametrize(
    ('text', 'line', 'key', 'right'),
    [
        ('model = dict(\n    _delete=True)\n', 3, '_delete', '_delete_'),
        ("model = {\n    '_delete': True}\n", 3, '_delete', '_delete_'),
        ("model = dict()\nmodel['decay_multi'] = 0\n", 3, 'decay_multi', 'decay_mult'),
    ],
)
def test_a_slip_of_an_own_file_is_an_error(tmp_path, text, line, key, right):
    base = tmp_path / 'base.py'
    base.write_text(f"_base_ = '{FER}'\n{text}")
    (tmp_path / 'leaf.py').write_text("_base_ = ['base.py']\n")
    message = f"unknown key '{key}' at {base}:{line}: did you mean '{right}'?"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_config(str(tmp_path / 'leaf.py'))


@pytest.mark.parametrize(
    'options',
    [
        {'train_dataloader.sampler._delete': True},
        {'train_dataloader.sampler': {'type': 'DefaultSampler', '_delete': True}},
    ],
)
@pytest.mark.parametrize('name', [FER, TWINS])
def test_a_slip_of_the_command_line_is_an_error(name, options):
    message = "train_dataloader.sampler._delete: unknown key '_delete'; did you mean"
    with pytest.raises(ValueError, match=message):
        load_config(name, options)
