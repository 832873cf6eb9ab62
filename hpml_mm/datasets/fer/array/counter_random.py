# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Random numbers that are looked up, not drawn one after another.

A number follows from a seed, an epoch, the name of a stream and the index of a sample
alone: no state goes from one number to the next, so neither the order of the samples
nor the batch they are in changes it, and a whole batch is made at once.

Each stream of each epoch is a SplitMix64 sequence (Steele, Lea and Flood, "Fast
Splittable Pseudorandom Number Generators", 2014) that starts from a hash of seed, epoch
and name; a sample takes the member at its index.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import torch
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def uniforms(seed: int, epoch: int, streams: Sequence[str], indices: Tensor) -> Tensor:
    """Numbers from [0, 1) for each stream and sample.

    Args:
        seed: Any integer.
        epoch: Any integer.
        streams: Names of S streams; their order does not matter to the numbers.
        indices: int64 indices of N samples.

    Returns:
        Multiples of 2**-24, float32 of shape (S, N), on the device of ``indices``.
    """
    start = stream_starts(seed, epoch, tuple(streams)).to(indices.device)
    bits = mix64(start[:, None] + indices * _signed(_STEP))
    return _shift_right(bits, 40).float() * 2.0**-24


@lru_cache(maxsize=8)  # the same for all batches of an epoch
def stream_starts(seed: int, epoch: int, streams: tuple[str, ...]) -> Tensor:
    """Where the sequences of some streams start, int64 of shape (S,)."""
    keys = (f'{seed}/{epoch}/{name}'.encode() for name in streams)
    digests = (blake2b(key, digest_size=8).digest() for key in keys)
    starts = [int.from_bytes(digest, 'little', signed=True) for digest in digests]
    return torch.tensor(starts, dtype=torch.int64)


def mix64(x: Tensor) -> Tensor:
    """SplitMix64's finalizer: 64 bits in, 64 bits out, one to one.

    Args:
        x: int64, read as 64 bits; its products wrap around.
    """
    x = (x ^ _shift_right(x, 30)) * _signed(_FIRST)
    x = (x ^ _shift_right(x, 27)) * _signed(_SECOND)
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Shift zeros in; torch's own shift of int64 repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x
