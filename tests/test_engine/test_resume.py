# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a checkpoint must hold to be resumed, and what of it is left out."""

import pytest

from hpml_mm.engine.resume import check_resumable, forget_speeds

META = {'epoch': 2, 'iter': 12}
HUB = {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}}


@pytest.mark.parametrize(
    'checkpoint',
    [
        {},
        {'meta': META},
        {'meta': {'epoch': 2}, 'message_hub': HUB},
        {'meta': META, 'message_hub': list(HUB)},
        {'meta': META, 'message_hub': {**HUB, 'resumed_keys': ['train/loss']}},
    ],
)
def test_what_holds_no_training_is_refused(checkpoint):
    with pytest.raises(ValueError, match=r'a\.pth holds no state of a training'):
        check_resumable(checkpoint, 'a.pth')


def test_names_of_what_is_not_resumed_are_left_out():
    keys = {'train/loss': True, 'train/data_wait(%)': False}
    checkpoint = {'meta': META, 'message_hub': {**HUB, 'resumed_keys': keys}}
    check_resumable(checkpoint, 'a.pth')
    forget_speeds(checkpoint)
    assert checkpoint['message_hub']['resumed_keys'] == {'train/loss': True}
