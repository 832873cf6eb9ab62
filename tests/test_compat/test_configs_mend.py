# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A config's text is MMEngine's, and is formatted once."""

import importlib

import pytest
from leaves import CONFIGS
from mmengine.config import Config
from toy_tools import toy_runner


@pytest.fixture
def calls(monkeypatch):
    """The texts that MMEngine's formatter, which MMEngine brings, was given."""
    yapf_api = importlib.import_module('yapf.yapflib.yapf_api')
    calls, original = [], yapf_api.FormatCode

    def count(text, **options):
        calls.append(text)
        return original(text, **options)

    monkeypatch.setattr(yapf_api, 'FormatCode', count)
    return calls


@pytest.mark.parametrize(
    'leaf',
    [
        'demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py',
        'coco_pose/td-hm_hrnet-w32_1xb32-210e_coco-256x192.py',
    ],
)
def test_the_text_is_that_of_mmengine(leaf):
    cfg = Config.fromfile(CONFIGS / leaf)
    assert cfg.pretty_text == Config.pretty_text.fget.__wrapped__(cfg)


def test_a_text_is_formatted_again_when_it_changes_or_was_long_ago(calls):
    cfg = Config({'number_of_this_test': 1})
    assert {cfg.pretty_text, cfg.pretty_text} == {'number_of_this_test = 1\n'}
    assert len(calls) == 1
    for number in (2, 3, 4, 5, 6, 7, 8, 9, 1):
        cfg.number_of_this_test = number
        assert cfg.pretty_text == f'number_of_this_test = {number}\n'
    assert len(calls) == 10


def test_a_run_with_several_checkpoints_formats_once(calls, tmp_path):
    training = {'by_epoch': True, 'max_epochs': 3}
    toy_runner(tmp_path, train_cfg=training).train()
    assert len(list(tmp_path.glob('epoch_*.pth'))) == 3
    assert len(calls) == 1


def test_what_is_no_python_has_the_error_of_mmengine(calls):
    with pytest.raises(SyntaxError, match='Failed to format the config file'):
        _ = Config({'a': object()}).pretty_text


def test_without_formatting_nothing_is_formatted(calls):
    assert (
        Config({'a': [1]}, format_python_code=False).pretty_text == 'a=[\n    1,\n    ]'
    )
    assert calls == []
