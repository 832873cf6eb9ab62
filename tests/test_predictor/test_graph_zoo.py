# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of networks of MMPretrain and MMPose, one or two of each family.

Their MACs and parameters are those that PyTorch counts itself.
"""

from collections import Counter

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.compat import has_mmpose
from hpml_mm.predictor.data.config_model import (
    config_model,
    find_config,
    input_shape,
)
from hpml_mm.predictor.graphs.graph import validate
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.graphs.uninitialised import uninitialised

# Family: config. Each is among the smaller ones of its family.
CLASSIFIERS = {
    'BEiT': 'mmpretrain::beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py',
    'Conformer': 'conformer-tiny-p16_8xb128_in1k',
    'ConvMixer': 'convmixer-1024-20_10xb64_in1k',
    'ConvNeXt': 'convnext-tiny_32xb128_in1k',
    'ConvNeXt V2': 'convnext-v2-atto_32xb32_in1k',
    'CSPNet': 'cspdarknet50_8xb32_in1k',
    'CSRA': 'resnet101-csra_1xb16_voc07-448px',
    'DaViT': 'davit-tiny_4xb256_in1k',
    'DeiT': 'deit-tiny-distilled_4xb256_in1k',
    'DeiT III': 'deit3-small-p16_64xb64_in1k',
    'DenseNet': 'densenet121_4xb256_in1k',
    'EdgeNeXt': 'edgenext-xxsmall_8xb256_in1k',
    'EfficientFormer': 'efficientformer-l1_8xb128_in1k',
    'EfficientNetV2': 'efficientnetv2-b0_8xb32_in1k',
    'EVA-02': 'eva02-tiny-p14_in1k',
    'HiViT': 'hivit-tiny-p16_16xb64_in1k',
    'HorNet': 'hornet-tiny-gf_8xb128_in1k',
    'Inception V3': 'inception-v3_8xb32_in1k',
    'LeNet': 'lenet5_mnist',
    'LeViT': 'mmpretrain::levit/levit-128s_8xb256_in1k.py',
    'MAE': 'mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py',
    'MLP-Mixer': 'mlp-mixer-base-p16_64xb64_in1k',
    'MobileNetV2': 'mobilenet-v2_8xb32_in1k',
    'MobileNetV3': 'mobilenet-v3-small_8xb128_in1k',
    'MobileOne': 'mobileone-s0_8xb32_in1k',
    'MobileViT': 'mobilevit-xxsmall_8xb128_in1k',
    'MViT V2': 'mvitv2-tiny_8xb256_in1k',
    'PoolFormer': 'poolformer-s12_32xb128_in1k',
    'RegNet': 'regnetx-400mf_8xb128_in1k',
    'RepMLP': 'repmlp-base_8xb64_in1k',
    'RepVGG': 'repvgg-A0_8xb32_in1k',
    'Res2Net': 'res2net50-w14-s8_8xb32_in1k',
    'ResNeSt': 'resnest50_32xb64_in1k',
    'ResNet-D': 'resnetv1d50_8xb32_in1k',
    'ResNeXt': 'resnext50-32x4d_8xb32_in1k',
    'RevViT': 'revvit-small_8xb256_in1k',
    'RIFormer': 'riformer-s12_8xb128_in1k',
    'SE-ResNet': 'seresnet50_8xb32_in1k',
    'ShuffleNetV1': 'shufflenet-v1-1x_16xb64_in1k',
    'ShuffleNetV2': 'shufflenet-v2-1x_16xb64_in1k',
    'Swin': 'swin-tiny_16xb64_in1k',
    'Swin V2': 'swinv2-tiny-w8_16xb64_in1k-256px',
    'T2T-ViT': 't2t-vit-t-14_8xb64_in1k',
    'TinyViT': 'tinyvit-5m_8xb256_in1k',
    'Twins': 'twins-svt-small_8xb128_in1k',
    'VAN': 'van-tiny_8xb128_in1k',
    'VGG': 'vgg11bn_8xb32_in1k',
    'ViG': 'vig-tiny_8xb128_in1k',
    'Wide ResNet': 'wide-resnet50_8xb32_in1k',
    'XCiT': 'xcit-nano-12-p16_8xb128_in1k',
}
POSES = {
    'AlexNet': 'td-hm_alexnet_8xb64-210e_coco-256x192',
    'CPM': 'td-hm_cpm_8xb64-210e_coco-256x192',
    'DSNT': 'ipr_res50_8xb64-210e_coco-256x256',
    'Hourglass': 'td-hm_hourglass52_8xb32-210e_coco-256x256',
    'InterNet': 'internet_res50_4xb16-20e_interhand3d-256x256',
    'MSPN': 'td-hm_mspn50_8xb32-210e_coco-256x192',
    'PVT V2': 'td-hm_pvtv2-b2_8xb64-210e_coco-256x192',
    'RLE': 'td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192',
    'RTMO': 'rtmo-s_8xb32-600e_coco-640x640',
    'RTMPose': 'rtmpose-m_8xb64-210e_ap10k-256x256',
    'SCNet': 'td-hm_scnet50_8xb64-210e_coco-256x192',
    'SimCC': 'simcc_vipnas-mbv3_8xb64-210e_coco-256x192',
    'SimpleBaseline': 'td-hm_res50_8xb64-210e_coco-256x192',
    'ViPNAS': 'td-hm_vipnas-res50_8xb64-210e_coco-256x192',
    'ViTPose': 'td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192',
    'YOLOX-Pose': 'yoloxpose_tiny_4xb64-300e_coco-416',
}
# What stops a trace: the operator or that there was none, and the module.
UNTRACEABLE = {
    # The head looks for the peaks of a heatmap and gathers features there.
    'cid_hrnet-w32_8xb20-140e_coco-512x512': (
        "aten.nonzero.default in module 'BottomupPoseEstimator': its result depends on "
        'values'
    ),
    # Deformable convolutions are an operator of MMCV.
    'dekr_hrnet-w32_8xb10-140e_coco-512x512': (
        "in module 'head.displacement_conv_layers.1.adapt_conv'"
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


@pytest.mark.slow
@pytest.mark.parametrize('family', [*CLASSIFIERS, *(f'pose: {name}' for name in POSES)])
def test_macs_and_parameters_are_those_that_pytorch_counts(family):
    pose = family.startswith('pose: ')
    if pose and not has_mmpose():
        pytest.skip('MMPose is not installed')
    name = POSES[family.removeprefix('pose: ')] if pose else CLASSIFIERS[family]
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


def test_resnet18_is_the_documented_example():
    model, shape = built('resnet18_8xb32_in1k')
    graph = trace(model, shape)
    assert (graph.num_nodes, graph.weighted, len(graph.edges)) == (70, 21, 77)
    assert (graph.total_macs, graph.total_params) == (1_814_073_344, 11_689_512)
    assert Counter(graph.labels) == {
        'conv': 20,
        'matmul': 1,
        'input': 1,
        'batchnorm': 20,
        'relu': 17,
        'maxpool': 1,
        'add': 8,
        'mean': 1,
        'output': 1,
    }
    first = graph.names.index('backbone.conv1')
    assert graph.resolutions[first].tolist() == [224, 112, 224, 112, 3, 64]
    assert graph.strides[first].tolist() == [2, 2]
    assert graph.shapes[first].tolist() == [3, 64, 7, 7]


def test_efficientnet_b0_is_the_documented_example():
    model, shape = built('efficientnet-b0_8xb32_in1k')
    graph = trace(model, shape)
    assert (graph.num_nodes, graph.weighted, len(graph.edges)) == (257, 82, 281)
    assert (graph.total_macs, graph.total_params) == (385_814_752, 5_288_548)
    assert Counter(graph.labels) == {
        'conv': 65,
        'depthwise': 16,
        'matmul': 1,
        'input': 1,
        'paddings': 17,
        'batchnorm': 49,
        'swish': 49,
        'mean': 17,
        'sigmoid': 16,
        'mul': 16,
        'add': 9,
        'output': 1,
    }
