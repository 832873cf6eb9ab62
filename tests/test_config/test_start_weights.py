# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from mmengine.config import Config

from hpml_mm.config.work_dir import find_start_weights


@pytest.fixture
def first(tmp_path):
    """Directory of a run with a best checkpoint."""
    for name in ('best_mae(points)_epoch_7.pth', 'epoch_8.pth'):
        (tmp_path / name).touch()
    return tmp_path


def start(path):
    backbone = {'init_cfg': [{'type': 'Constant'}, pretrained(path)]}
    return Config({'load_from': str(path), 'model': {'backbone': backbone}})


def pretrained(path):
    return {'type': 'Pretrained', 'checkpoint': str(path)}


def test_a_pattern_becomes_the_file_that_matches(first):
    cfg = start(first / 'best_*.pth')
    find_start_weights(cfg)
    best = str(first / 'best_mae(points)_epoch_7.pth')
    assert cfg.load_from == best
    assert cfg.model.backbone.init_cfg[1].checkpoint == best


@pytest.mark.parametrize('name', ['epoch_8.pth', 'absent.pth'])
def test_a_plain_name_stays_as_it_is(first, name):
    cfg = start(first / name)
    before = cfg.to_dict()
    find_start_weights(cfg)
    assert cfg.to_dict() == before


def test_an_address_is_no_pattern():
    cfg = Config({'load_from': 'https://example.org/*.pth'})
    find_start_weights(cfg)
    assert cfg.load_from == 'https://example.org/*.pth'


def test_no_match_and_several_are_refused(first):
    with pytest.raises(FileNotFoundError, match=r'load_from: no checkpoint matches'):
        find_start_weights(start(first / 'worst_*.pth'))
    with pytest.raises(ValueError, match=r'2 checkpoints match .*epoch_7\.pth'):
        find_start_weights(start(first / '*.pth'))
    nothing = Config({'model': {'init_cfg': pretrained(first / 'worst_*.pth')}})
    with pytest.raises(FileNotFoundError, match='checkpoint: no checkpoint matches'):
        find_start_weights(nothing)
