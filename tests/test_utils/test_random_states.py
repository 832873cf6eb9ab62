# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import random

import numpy as np
import torch

from hpml_mm.utils.random_states import (
    random_states,
    random_states_kept,
    seed_everything,
    set_random_states,
)


def draw():
    """Three numbers of each generator; each second normal one is kept for later."""
    return [
        [random.gauss(0, 1), np.random.randn(), torch.randn(1).item()] for _ in range(3)
    ]


def test_states_go_through_a_safe_file(tmp_path):
    seed_everything(3)
    draw()
    torch.save(random_states(), tmp_path / 'states.pth')
    expected = draw()
    seed_everything(4)
    assert draw() != expected
    set_random_states(torch.load(tmp_path / 'states.pth', weights_only=True))
    assert draw() == expected


def test_states_are_kept():
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with random_states_kept():
        seed_everything(5)
    assert draw() == expected
