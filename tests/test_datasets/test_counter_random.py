# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import itertools

import numpy as np
import torch
from scipy import stats

from hpml_mm.datasets.fer.array.counter_random import mix64, stream_starts, uniforms

MANY = torch.arange(20_000)
# How improbable an outcome has to be before a test fails; the numbers are fixed.
LEAST = 1e-4


def splitmix64(state: int, count: int) -> list[int]:
    """The published generator, in Python's own integers."""
    numbers, mask = [], 2**64 - 1
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append(z ^ (z >> 31))
    return numbers


def test_it_is_splitmix64():
    # The first numbers that seed 1234567 gives in the reference implementation.
    assert splitmix64(1234567, 2) == [6457827717110365317, 3203168211198807973]
    start = int(stream_starts(5, 2, ('a',))[0]) % 2**64
    step = 0x9E3779B97F4A7C15
    # The member at index i is that of the state after i steps.
    expected = splitmix64((start - step) % 2**64, 50)
    got = uniforms(5, 2, ['a'], torch.arange(50))[0].double() * 2**24
    assert got.tolist() == [number >> 40 for number in expected]


def test_the_mixing_treats_all_64_bits_as_unsigned():
    got = mix64(torch.tensor([-1, -(2**63), 2**63 - 1])).tolist()
    expected = []
    for x in (2**64 - 1, 2**63, 2**63 - 1):
        expected += splitmix64((x - 0x9E3779B97F4A7C15) % 2**64, 1)
    assert [number % 2**64 for number in got] == expected


def test_numbers_are_uniform():
    numbers = uniforms(0, 0, ['a', 'b'], MANY).numpy()
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for stream in numbers:
        assert stats.kstest(stream, 'uniform').pvalue > LEAST
        # The low bits of the 24 as well as the high ones.
        low = (stream.astype(np.float64) * 2**24).astype(np.int64) % 64
        assert stats.chisquare(np.bincount(low, minlength=64)).pvalue > LEAST


def test_streams_epochs_seeds_and_neighbours_are_independent():
    first = uniforms(0, 0, ['a', 'b'], MANY).numpy()
    sequences = {
        'a': first[0],
        'b': first[1],
        'next epoch': uniforms(0, 1, ['a'], MANY)[0].numpy(),
        'next seed': uniforms(1, 0, ['a'], MANY)[0].numpy(),
        'next sample': uniforms(0, 0, ['a'], MANY + 1)[0].numpy(),
        'seed and epoch change places': uniforms(1, 2, ['a'], MANY)[0].numpy(),
        'with these': uniforms(2, 1, ['a'], MANY)[0].numpy(),
    }
    for one, other in itertools.combinations(sequences, 2):
        cells, *_ = np.histogram2d(sequences[one], sequences[other], bins=16)
        assert stats.chisquare(cells.ravel()).pvalue > LEAST, (one, other)


def test_a_number_depends_on_its_own_sample_and_stream_alone():
    together = uniforms(3, 4, ['a', 'b', 'c'], torch.tensor([9, 2, 7]))
    assert uniforms(3, 4, ['c'], torch.tensor([2]))[0, 0] == together[2, 1]
    again = uniforms(3, 4, ['c', 'a'], torch.tensor([7, 2, 9, 9]))
    assert torch.equal(again, together[[2, 0]][:, [2, 1, 0, 0]])


def test_no_stream_and_no_sample():
    assert uniforms(0, 0, [], MANY).shape == (0, 20_000)
    assert uniforms(0, 0, ['a'], MANY[:0]).shape == (1, 0)
