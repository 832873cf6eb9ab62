# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Random states of a process: seeded, kept, stored in a checkpoint."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(*key: int) -> None:
    """Seed Python's, NumPy's and torch's CPU generator from a few numbers.

    The numbers are hashed by ``numpy.random.SeedSequence``, so keys that differ by
    one give unrelated streams.

    Args:
        key: Numbers from 0; their order counts.
    """
    words = np.random.SeedSequence(key).generate_state(6)
    # Hundreds of words of state each; four of them are enough to tell streams apart.
    np.random.seed(words[:4])
    random.seed(int(words[4]))
    # torch.manual_seed() would seed the GPUs as well, and so the model's dropout.
    torch.default_generator.manual_seed(int(words[5]))


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the states of the three generators on exit."""
    states = (
        random.getstate(),
        np.random.get_state(),
        torch.default_generator.get_state(),
    )
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


def random_states() -> dict[str, Any]:
    """Copy the states of the three generators, and of the current GPU's.

    Returns:
        Numbers and tensors only, which a safe load of a checkpoint accepts.
    """
    version, words, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)
    states: dict[str, Any] = {
        'python': {'version': version, 'words': torch.tensor(words), 'gauss': gauss},
        'numpy': {
            'keys': torch.from_numpy(legacy['state']['key'].astype(np.int64)),
            'position': int(legacy['state']['pos']),
            'has_gauss': int(legacy['has_gauss']),
            'cached': float(legacy['gauss']),
        },
        'torch': torch.default_generator.get_state(),
    }
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Go on from states that :func:`random_states` copied, maybe on another device."""
    python, legacy = states['python'], states['numpy']
    words = tuple(python['words'].tolist())
    random.setstate((python['version'], words, python['gauss']))
    keys = legacy['keys'].cpu().numpy().astype(np.uint32)
    np.random.set_state(
        ('MT19937', keys, legacy['position'], legacy['has_gauss'], legacy['cached'])
    )
    torch.default_generator.set_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())
