# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's heads of pose estimation, on bodies of the three OFA spaces."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.models import PaddedConvNeck, SkipHeatmapHead
from hpml_mm.predictor.graphs.graph import validate
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import get_space
from hpml_mm.registry import MODELS


@pytest.fixture(autouse=True)
def mmpose_scope():
    """A head looks its loss up where the default scope is."""
    init_default_scope('mmpose')


def ones(module):
    """Set all weights of layers to 1 and all biases to 0."""
    for name, value in module.named_parameters():
        torch.nn.init.constant_(value, float(name.endswith('weight')))
    return module.eval()


def cells(*values):
    """A feature map of one channel."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, len(values), -1)


def test_feature_maps_of_a_resolution_are_joined_and_added():
    head = SkipHeatmapHead(
        in_channels=[1, 1, 1, 2],
        strides=[4, 8, 8, 16],
        out_channels=1,
        deconv_out_channels=(1, 1),
        deconv_kernel_sizes=(2, 2),
    )
    assert head.skip_layers[0].conv.in_channels == 2
    finest = cells([0, 1, 2, 3], [-9] * 4, [0] * 4, [5] * 4)
    joined = cells([10, 20], [0, -30]), cells([1, -2], [0, 7])
    body = torch.tensor([[[[100.0]], [[50.0]]]])
    with torch.no_grad():
        found = ones(head)((finest, *joined, body))
    # 100 + 50 everywhere, then 11, 18, 0 and (below 0) 0 in quarters of it.
    middle = cells([161, 168], [150, 150]).repeat_interleave(2, 2)
    expected = middle.repeat_interleave(2, 3) + finest.relu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_without_strides_each_map_has_twice_the_side_of_the_next():
    options = {'out_channels': 3, 'deconv_out_channels': (8, 8, 8)}
    head = SkipHeatmapHead([4, 5, 6], **options)
    given = [layer.conv.in_channels for layer in head.skip_layers[:2]]
    assert given == [5, 4]
    maps = [torch.zeros(2, c, s, s) for c, s in ((4, 16), (5, 8), (6, 4))]
    # The third deconvolution meets no feature map.
    assert head(maps).shape == (2, 3, 32, 32)


def test_a_narrow_body_is_padded_with_zeros():
    neck = ones(PaddedConvNeck(2, out_channels=5))
    before, last = cells([1.0, 2.0]), torch.tensor([[[[3.0]], [[-1.0]]]])
    with torch.no_grad():
        passed, found = neck((before, last))
    assert passed is before
    torch.testing.assert_close(found, torch.full((1, 5, 1, 1), 2.0), rtol=1e-4, atol=0)
    assert neck.conv.conv.weight.shape == (5, 5, 1, 1)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (
            lambda: SkipHeatmapHead([8, 8], strides=[4], out_channels=1),
            r'strides are \[4\] for 2 feature maps',
        ),
        (
            lambda: SkipHeatmapHead([8, 8, 8], strides=[8, 32, 32], out_channels=1),
            'feature map 1 of stride 32 meets none of 3 deconvolutions from stride 32',
        ),
        (
            lambda: SkipHeatmapHead([8] * 5, out_channels=1),
            'feature map 0 of stride 1 meets none of 3 .* from stride 16',
        ),
        (
            lambda: PaddedConvNeck(2049),
            'in_channels is 2049, more than out_channels=2048',
        ),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


BODIES = {
    # Feature maps of strides 4, 8, 16 and 32; of several with one stride all of 16.
    'ofa-mbv3-w1.0': ([1, 2, 3, 4, 6], [4, 8, 16, 16, 32]),
    'ofa-pn-w1.3': ([1, 2, 3, 4, 7], [4, 8, 16, 16, 32]),
    'ofa-resnet50': ([1, 2, 3, 4], [4, 8, 16, 32]),
}


def estimator(space, kind):
    """A whole model of MMPose with a random body, and the channels it gives."""
    indices, strides = BODIES[space]
    known = get_space(space)
    arch = known.encode(known.sample(np.random.default_rng(1)))
    body = {'type': 'hpml_mm.OFANet', 'space': space, 'arch': arch}
    body['out_indices'] = indices if kind == 'skip' else [indices[-1]]
    net = MODELS.build(body)
    with torch.no_grad():
        channels = [f.shape[1] for f in net.eval()(torch.zeros(1, 3, 64, 64))]
    head = {'out_channels': 14, 'deconv_out_channels': (16, 16, 16)}
    head['loss'] = {'type': 'mmpose.KeypointMSELoss'}
    model = {'type': 'mmpose.TopdownPoseEstimator', 'backbone': body}
    if kind == 'skip':
        skip = {'type': 'hpml_mm.SkipHeatmapHead', 'in_channels': channels}
        return {**model, 'head': {**skip, 'strides': strides, **head}}
    if kind == 'padded':
        model['neck'] = {'type': 'hpml_mm.PaddedConvNeck', 'in_channels': channels[0]}
        channels = [2048]
    plain = {'type': 'mmpose.HeatmapHead', 'in_channels': channels[-1]}
    return {**model, 'head': {**plain, **head}}


@pytest.mark.parametrize('kind', ['plain', 'skip', 'padded'])
@pytest.mark.parametrize('space', BODIES)
def test_macs_of_a_traced_body_and_head_are_those_that_pytorch_counts(space, kind):
    model = MODELS.build(estimator(space, kind)).eval()
    graph = trace(model, (3, 64, 64))
    validate(graph)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        heatmaps = model(torch.zeros(1, 3, 64, 64), None)
    assert heatmaps.shape == (1, 14, 16, 16)
    assert graph.total_macs == counter.get_total_flops() / 2
    assert graph.total_params == sum(part.numel() for part in model.parameters())
    names = ' '.join(graph.names)
    assert ('skip_layers.2.conv' in names) == (kind == 'skip')
    assert ('neck.paddings' in names) == (kind == 'padded')


def test_every_weight_learns():
    for kind in ('skip', 'padded'):
        model = MODELS.build(estimator('ofa-mbv3-w1.0', kind))
        model.init_weights()
        model(torch.rand(2, 3, 64, 64), None).square().sum().backward()
        assert all(part.grad is not None for part in model.parameters())
