# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Operations and parameters of small models, counted by hand."""

import pytest
import torch
from step_flops import count
from torch import nn

from hpml_mm.measure.step_cost import (
    count_parameters,
    dominant_precision,
    has_compiled_parts,
    precision_name,
)


def test_forward_and_backward_of_a_layer():
    layer, images = nn.Linear(8, 3), torch.randn(4, 8)
    flops = count(lambda: layer(images).sum().backward())
    # 4 x 8 x 3 multiply-adds forward and as many for the weight's gradient; the
    # images need none.
    assert flops.flops == 2 * (2 * 4 * 8 * 3)
    assert flops.precision == 'float32'


def test_convolution():
    layer, images = nn.Conv2d(2, 4, 3, padding=1), torch.randn(1, 2, 5, 5)
    flops = count(lambda: layer(images))
    assert flops.flops == 2 * (5 * 5 * 4 * 2 * 3 * 3)


def test_precision_is_the_one_that_ran():
    layer, images = nn.Linear(8, 3), torch.randn(4, 8)

    def step():
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = layer(images).sum()
        loss.backward()

    flops = count(step)
    assert flops.precision == 'bfloat16'
    assert flops.flops == 2 * (2 * 4 * 8 * 3)


def test_nothing_to_count_is_none():
    flops = count(lambda: torch.ones(3) + 1)
    assert flops.flops is None
    assert flops.precision is None


def test_stops_after_an_error():
    def fail():
        raise RuntimeError('out of memory')

    with pytest.raises(RuntimeError, match='out of memory'):
        count(fail)
    after = count(lambda: None)
    torch.ones(2, 2) @ torch.ones(2, 2)
    assert after.flops is None


@pytest.mark.parametrize(
    ('flops', 'expected'),
    [
        ({}, None),
        ({'float32': 5}, 'float32'),
        ({'bfloat16': 95, 'float32': 5}, 'bfloat16'),
        ({'bfloat16': 60, 'float32': 40}, 'mixed'),
    ],
)
def test_dominant_precision(flops, expected):
    assert dominant_precision(flops) == expected


def test_precision_name_on_a_cpu():
    assert precision_name(torch.zeros(1), convolution=True) == 'float32'
    half = torch.zeros(1, dtype=torch.float16)
    assert precision_name(half, convolution=False) == 'float16'


def test_compiled_parts_are_found():
    def model():
        return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))

    assert not has_compiled_parts(model())
    in_place = model()
    in_place[1].compile()
    assert has_compiled_parts(in_place)
    replaced = model()
    replaced[0] = torch.compile(replaced[0])
    assert has_compiled_parts(replaced)
    method = model()
    method.train_step = torch.compile(method.forward)
    assert has_compiled_parts(method)


def test_parameters_include_frozen_ones():
    layer = nn.Linear(8, 3)
    layer.weight.requires_grad_(False)
    assert count_parameters(layer) == 27
