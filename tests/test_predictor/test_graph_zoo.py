# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of networks of MMPretrain and MMPose, one or two of each family.

Their MACs and parameters are those that PyTorch counts itself.
"""

import os
from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.compat import has_mmpose
from hpml_mm.predictor.graphs.graph import validate
from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised
from hpml_mm.predictor.stock.config_model import (
    config_model,
    find_config,
    input_shape,
)

# One of the smaller configs of each family.
CLASSIFIERS = """
mmpretrain::beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py
conformer-tiny-p16_8xb128_in1k convmixer-1024-20_10xb64_in1k convnext-tiny_32xb128_in1k
convnext-v2-atto_32xb32_in1k cspdarknet50_8xb32_in1k resnet101-csra_1xb16_voc07-448px
davit-tiny_4xb256_in1k deit-tiny-distilled_4xb256_in1k deit3-small-p16_64xb64_in1k
densenet121_4xb256_in1k edgenext-xxsmall_8xb256_in1k efficientformer-l1_8xb128_in1k
efficientnetv2-b0_8xb32_in1k eva02-tiny-p14_in1k hivit-tiny-p16_16xb64_in1k
hornet-tiny-gf_8xb128_in1k inception-v3_8xb32_in1k lenet5_mnist
mmpretrain::levit/levit-128s_8xb256_in1k.py
mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py
mlp-mixer-base-p16_64xb64_in1k mobilenet-v2_8xb32_in1k mobilenet-v3-small_8xb128_in1k
mobileone-s0_8xb32_in1k mobilevit-xxsmall_8xb128_in1k mvitv2-tiny_8xb256_in1k
poolformer-s12_32xb128_in1k regnetx-400mf_8xb128_in1k repmlp-base_8xb64_in1k
repvgg-A0_8xb32_in1k res2net50-w14-s8_8xb32_in1k resnest50_32xb64_in1k
resnetv1d50_8xb32_in1k resnext50-32x4d_8xb32_in1k revvit-small_8xb256_in1k
riformer-s12_8xb128_in1k seresnet50_8xb32_in1k shufflenet-v1-1x_16xb64_in1k
shufflenet-v2-1x_16xb64_in1k swin-tiny_16xb64_in1k swinv2-tiny-w8_16xb64_in1k-256px
t2t-vit-t-14_8xb64_in1k tinyvit-5m_8xb256_in1k twins-svt-small_8xb128_in1k
van-tiny_8xb128_in1k vgg11bn_8xb32_in1k vig-tiny_8xb128_in1k wide-resnet50_8xb32_in1k
xcit-nano-12-p16_8xb128_in1k
"""
POSES = """
td-hm_alexnet_8xb64-210e_coco-256x192 td-hm_cpm_8xb64-210e_coco-256x192
ipr_res50_8xb64-210e_coco-256x256 td-hm_hourglass52_8xb32-210e_coco-256x256
internet_res50_4xb16-20e_interhand3d-256x256 td-hm_mspn50_8xb32-210e_coco-256x192
td-hm_pvtv2-b2_8xb64-210e_coco-256x192
td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192 rtmo-s_8xb32-600e_coco-640x640
rtmpose-m_8xb64-210e_ap10k-256x256 td-hm_scnet50_8xb64-210e_coco-256x192
simcc_vipnas-mbv3_8xb64-210e_coco-256x192 td-hm_res50_8xb64-210e_coco-256x192
td-hm_vipnas-res50_8xb64-210e_coco-256x192
td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192 yoloxpose_tiny_4xb64-300e_coco-416
"""
# What stops a trace: the operator or that there was none, and the module.
UNTRACEABLE = {
    # The head looks for the peaks of a heatmap and gathers features there.
    'cid_hrnet-w32_8xb20-140e_coco-512x512': (
        "aten.nonzero.default in module 'BottomupPoseEstimator': its result depends on "
        'values'
    ),
    # Its sparse convolutions take a mask from outside the network.
    'spark_sparse-resnet50_8xb512-amp-coslr-800e_in1k': (
        "no operator, Python code in module 'backbone.conv1'"
    ),
}


def built(name):
    """A config's model without weights, and the shape of its input."""
    cfg = find_config(name)
    with uninitialised():
        model = config_model(cfg, name)
    return model.eval(), input_shape(cfg, model, name, None)


def counted(model, shape):
    """MACs by PyTorch's counter, which counts attention only as plain products."""
    counter = FlopCounterMode(display=False)
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        sdpa_kernel(SDPBackend.MATH),
        torch.no_grad(),
        counter,
    ):
        model(torch.empty(1, *shape), None, mode='tensor')
    return counter.get_total_flops() / 2


NETWORKS = [*CLASSIFIERS.split(), *POSES.split()]
# All take minutes: a third of them each time, the others by hand.
STEP = 1 if os.environ.get('HPML_MM_ALL_NETWORKS') == '1' else 3


def test_there_are_66_networks():
    assert (len(CLASSIFIERS.split()), len(POSES.split())) == (50, 16)


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS[::STEP])
def test_macs_and_parameters_are_those_that_pytorch_counts(name):
    if name in POSES.split() and not has_mmpose():
        pytest.skip('MMPose is not installed')
    model, shape = built(name)
    graph = trace(model, shape)
    validate(graph)
    assert graph.total_macs == counted(model, shape)
    assert graph.total_params == sum(part.numel() for part in model.parameters())
    assert graph.total_macs > 0


@pytest.mark.slow
@pytest.mark.parametrize('name', UNTRACEABLE)
def test_what_cannot_be_traced_says_where_it_stopped(name):
    if not name.startswith('spark') and not has_mmpose():
        pytest.skip('MMPose is not installed')
    model, shape = built(name)
    with pytest.raises(ValueError, match='cannot be traced') as error:
        trace(model, shape)
    assert UNTRACEABLE[name] in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(not has_mmpose(), reason='MMPose is not installed')
def test_deformable_convolutions_are_all_that_pytorch_does_not_count():
    model, shape = built('dekr_hrnet-w32_8xb10-140e_coco-512x512')
    graph = trace(model, shape)
    macs = zip(graph.names, graph.macs.tolist(), strict=True)
    deformable = [count for name, count in macs if name.endswith('adapt_conv')]
    # Two, in a group of 15 channels for each of 17 keypoints, at a quarter of the size.
    assert deformable == [128 * 128 * (17 * 15) * 15 * 9] * 2
    assert graph.total_macs == counted(model, shape) + sum(deformable)


RESNET18 = (
    'conv 20 matmul 1 input 1 batchnorm 20 relu 17 maxpool 1 add 8 mean 1 output 1'
)
B0 = """conv 65 depthwise 16 matmul 1 input 1 paddings 17 batchnorm 49
    swish 49 mean 17 sigmoid 16 mul 16 add 9 output 1"""


@pytest.mark.parametrize(
    ('name', 'sizes', 'macs', 'params', 'labels'),
    [
        ('resnet18_8xb32_in1k', (70, 21, 77), 1_814_073_344, 11_689_512, RESNET18),
        ('efficientnet-b0_8xb32_in1k', (257, 82, 281), 385_814_752, 5_288_548, B0),
    ],
)
def test_the_documented_examples(name, sizes, macs, params, labels):
    graph = trace(*built(name))
    assert (graph.num_nodes, graph.weighted, len(graph.edges)) == sizes
    assert (graph.total_macs, graph.total_params) == (macs, params)
    words = labels.split()
    assert Counter(graph.labels) == dict(
        zip(words[::2], map(int, words[1::2]), strict=True)
    )
    if name.startswith('resnet18'):
        first = graph.names.index('backbone.conv1')
        assert graph.resolutions[first].tolist() == [224, 112, 224, 112, 3, 64]
        assert graph.strides[first].tolist() == [2, 2]
        assert graph.shapes[first].tolist() == [3, 64, 7, 7]
