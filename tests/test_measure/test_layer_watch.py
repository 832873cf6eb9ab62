# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Layers are seen as they compute, not as they were set."""

import pytest
import torch
from torch import nn

from hpml_mm.measure.layer_watch import LayerCall, LayerWatch, report_layers


def watched(model, *inputs):
    watch = LayerWatch(model)
    watch.start()
    model(*inputs)
    watch.stop()
    return watch


@pytest.mark.parametrize(
    ('layer', 'shape', 'macs'),
    [
        (nn.Linear(8, 3), (4, 8), 4 * 8 * 3),
        (nn.Conv2d(2, 4, 3, padding=1), (1, 2, 5, 5), 25 * 4 * 2 * 9),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 5, 5), 25 * 4 * 9),
        (nn.ConvTranspose2d(4, 2, 2, stride=2), (1, 4, 5, 5), 25 * 4 * 2 * 4),
        (nn.Conv1d(2, 3, 1), (1, 2, 7), 7 * 2 * 3),
    ],
)
def test_calls_are_weighed_by_their_macs(layer, shape, macs):
    (call,) = watched(layer, torch.randn(shape))._calls
    assert (call.macs, call.precision) == (macs, 'fp32')


def test_precision_is_that_of_nine_tenths_of_the_work():
    many, few = LayerCall(90, 'bf16'), LayerCall(10, 'fp32')
    assert report_layers([many, few]).precision == 'bf16'
    mixed = report_layers([many, few, few])
    assert (mixed.precision, mixed.reduced) == ('mixed', True)
    assert report_layers([few]).reduced is False
    nothing = report_layers([])
    assert (nothing.precision, nothing.reduced, nothing.is_channels_last) == (None,) * 3


def test_autocast_and_casts_of_the_models_own_are_seen():
    model, inputs = nn.Linear(8, 3), torch.randn(4, 8)
    with torch.autocast('cpu', torch.bfloat16):
        assert watched(model, inputs).report().precision == 'bf16'
        with torch.autocast('cpu', enabled=False):
            assert watched(model, inputs).report().precision == 'fp32'
    cast = nn.Linear(8, 3).to(torch.bfloat16)
    assert watched(cast, inputs.bfloat16()).report().precision == 'bf16'


class Relayer(nn.Module):
    """Two convolutions, whose second is handed a copy in the other layout."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, inputs):
        return self.second(self.first(inputs).contiguous())


def test_layouts_are_those_of_results_and_inputs():
    images = torch.randn(2, 3, 8, 8)
    plain = watched(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), images)
    report = plain.report()
    assert (report.convolutions, report.channels_last, report.relaid) == (2, 0, 0)
    assert report.is_channels_last is False

    model = Relayer().to(memory_format=torch.channels_last)
    report = watched(model, images).report()
    assert (report.convolutions, report.channels_last, report.relaid) == (2, 2, 2)
    last = images.to(memory_format=torch.channels_last)
    assert watched(model, last).report().relaid == 1
    assert report.is_channels_last is True


def test_where_both_layouts_are_the_same_neither_is_claimed():
    report = watched(nn.Conv2d(3, 1, 8), torch.randn(2, 3, 8, 8)).report()
    assert (report.convolutions, report.is_channels_last) == (0, None)
    assert watched(nn.Linear(8, 3), torch.randn(4, 8)).report().convolutions == 0


def test_compiled_models_are_left_alone():
    model = nn.Sequential(nn.Linear(8, 3))
    model[0].compile(backend='eager')
    watch = LayerWatch(model)
    watch.start()
    assert not model[0]._forward_hooks
    assert watch.report().precision is None


def test_layers_that_return_anything_else_are_passed_over():
    class Pair(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs), None

    assert watched(Pair(8, 3), torch.randn(4, 8))._calls == []
