# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Architectures in use, small and with random weights, are really converted."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from deploy_models import (
    CATS,
    build,
    build_classifier,
    build_hrnet,
    build_leaf,
    leaf,
)
from quantized_toys import toy_spec
from torch import nn

from hpml_mm.config.overrides import load_config
from hpml_mm.deploy.engines import EagerEngine, load_engine
from hpml_mm.deploy.network import plain_network
from hpml_mm.quantization.backends import BACKENDS
from hpml_mm.quantization.calibration import estimate_statistics_
from hpml_mm.quantization.coverage import SQUEEZE_EXCITATION
from hpml_mm.quantization.qat import (
    fake_quant_layers,
    freeze_batch_norm_,
    insert_fake_quant_,
    remove_fake_quant_,
)
from hpml_mm.quantization.rounding import weighted_layers
from hpml_mm.quantization.sensitivity import output_sqnr

pytestmark = pytest.mark.slow
SIZE = 64


def efficientnet() -> nn.Module:
    return build_classifier(dict(type='EfficientNet', arch='b0'), 1280)


def mobilenet_pose() -> nn.Module:
    return build_leaf(CATS)


def resnet_pose() -> nn.Module:
    """As the project's cats', with fewer layers and one narrow deconvolution."""
    model = leaf('cat_pose/e00_td-hm_res50_1xb64-20e_cats-128x128.py').model
    model.backbone.update(depth=18, init_cfg=None)
    model.head.update(
        in_channels=512, deconv_out_channels=(32,), deconv_kernel_sizes=(4,)
    )
    return build(model, 'mmpose')


def stock_mobilenet() -> nn.Module:
    cfg = load_config('mmpretrain::mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py')
    return build(cfg.model, 'mmpretrain')


def smooth_batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.randn(8, 3, 8, 8, generator=generator) for _ in range(2)]
    return [
        nn.functional.interpolate(one, (SIZE, SIZE), mode='bilinear') for one in coarse
    ]


# Random weights multiply any noise, so that little is left: of noise at 30 dB on the
# images, FP32 leaves 11, 3, 15, 16 and 9 dB.
@pytest.mark.parametrize(
    ('make', 'backend', 'converted', 'kept', 'least'),
    [
        (efficientnet, 'onnxruntime', 50, 32, 3.5),
        (mobilenet_pose, 'openvino', 56, 0, 2.5),
        (resnet_pose, 'onnxruntime', 22, 0, 12),
        (build_hrnet, 'openvino', 41, 0, 16),
        (stock_mobilenet, 'onnxruntime', 36, 18, 7),
    ],
)
def test_layers_are_int8_and_outputs_are_those_of_fp32_but_for_noise(
    tmp_path: Path,
    make: Callable[[], nn.Module],
    backend: str,
    converted: int,
    kept: int,
    least: float,
):
    if backend == 'openvino':
        pytest.importorskip('nncf')
    model, batches = make(), smooth_batches()
    estimate_statistics_(model, batches)
    network = plain_network(model)
    spec = dataclasses.replace(toy_spec(), input_size=(SIZE, SIZE))
    path = tmp_path / ('int8.xml' if backend == 'openvino' else 'int8.onnx')
    found = BACKENDS[backend](network, spec, batches).convert(out=path)
    assert len(found.coverage.converted) == converted
    reasons = {why: len(names) for why, names in found.coverage.reasons().items()}
    assert reasons == ({SQUEEZE_EXCITATION: kept} if kept else {})
    engine = load_engine(path)
    assert engine.spec == spec
    assert output_sqnr(EagerEngine(network), engine, batches[:1]) > least
    # All layers take part in quantization-aware training, and become plain again.
    exact = EagerEngine(copy.deepcopy(network))
    assert insert_fake_quant_(network) == list(weighted_layers(network))
    freeze_batch_norm_(network.train())
    network(batches[0]).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    layers = [layer.input_fake_quant for _, layer in fake_quant_layers(network)]
    assert all(layer.high > layer.low for layer in layers)
    assert 0 < output_sqnr(exact, EagerEngine(network), batches[:1]) < 60
    remove_fake_quant_(network, on_grid=False)
    assert torch.equal(EagerEngine(network)(batches[0]), exact(batches[0]))
