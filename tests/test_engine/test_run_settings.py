# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Settings of a config that trackers compare."""

from hpml_mm.engine.trackers.settings import _leaves


def test_leaves_of_a_config():
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmpretrain.RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
    ]
    part = {
        'pipeline': pipeline,
        'data_root': 'data/faces',
        'stages': (2, 2),
        'nothing': None,
        'persistent': True,
    }
    assert dict(_leaves('data', part)) == {
        'data.pipeline.types': 'LoadImageFromFile RandomFlip',
        'data.pipeline.RandomFlip.prob': 0.5,
        'data.pipeline.RandomFlip.direction': 'horizontal',
        'data.stages': '[2, 2]',
        'data.persistent': True,
    }


def test_one_more_transform_renames_none():
    flip = {'type': 'RandomFlip', 'prob': 0.5}
    before = dict(_leaves('p', [flip]))
    after = dict(_leaves('p', [{'type': 'Resize', 'scale': 4}, flip]))
    assert before['p.RandomFlip.prob'] == after['p.RandomFlip.prob'] == 0.5
