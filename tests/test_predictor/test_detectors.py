# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of MMDetection's detectors, whose heads look at fixed regions."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip('mmdet', reason='MMDetection is not installed')

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from hpml_mm.predictor.data.network_source import load_source
from hpml_mm.predictor.graphs.graph import validate
from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised
from hpml_mm.predictor.stock import detectors
from hpml_mm.predictor.stock.config_model import config_model, find_config
from hpml_mm.predictor.stock.detectors import detector_call, without_teacher

SHAPE = (3, 128, 160)
# One of each kind of head whose own ``forward`` gives masks to all regions.
TWO_STAGES = """
panoptic-fpn_r50_fpn_1x_coco cascade-mask-rcnn_r50_fpn_1x_coco htc_r50_fpn_1x_coco
scnet_r50_fpn_1x_coco ms-rcnn_r50-caffe_fpn_1x_coco
"""


def built(name):
    with uninitialised():
        return config_model(find_config(name), name).eval()


def sample(shape=SHAPE):
    """What MMDetection has to know of an image."""
    size = shape[1:]
    names = ('img_shape', 'ori_shape', 'batch_input_shape')
    return DetDataSample(
        metainfo={**dict.fromkeys(names, size), 'scale_factor': (1.0, 1.0)}
    )


def counted(model, regions):
    """MACs that PyTorch counts of the detector's own parts on real regions."""
    corners = torch.rand(regions, 2) * 100
    boxes = torch.cat([corners, corners + 1 + torch.rand(regions, 2) * 50], dim=1)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        features = model.extract_feat(torch.rand(1, *SHAPE))
        model.rpn_head(features)
        model.roi_head(features, [InstanceData(bboxes=boxes)], [sample()])
        if hasattr(model, 'semantic_head'):
            model.semantic_head(features)
    return counter.get_total_flops() / 2


@pytest.mark.slow
@pytest.mark.parametrize('name', TWO_STAGES.split())
def test_macs_are_those_of_the_detectors_own_heads(name, monkeypatch):
    monkeypatch.setattr(detectors, 'BOXES', 7)
    torch.manual_seed(0)
    model = config_model(find_config(name), name).eval()
    graph = trace(model, SHAPE, detector_call(model))
    validate(graph)
    assert graph.total_macs == counted(model, 7)
    assert graph.total_params == sum(part.numel() for part in model.parameters())
    assert not any('forward' in vars(module) for module in model.modules())


def test_boxes_are_found_in_1000_regions_and_masks_in_100():
    model = built('mask-rcnn_r50_fpn_1x_coco')
    graph = trace(model, SHAPE, detector_call(model))
    macs = dict(zip(graph.names, graph.macs.tolist(), strict=True))
    assert macs['roi_head.bbox_head.shared_fcs.0'] == 1000 * (7 * 7 * 256) * 1024
    assert macs['roi_head.mask_head.convs.0.conv'] == 100 * 14 * 14 * 256 * 256 * 9
    # Every level is read by both extractors, whatever the sizes of regions.
    levels = [n for n in graph.names if n.startswith('roi_head.bbox_roi_extractor')]
    assert sum('roi_layers' in name for name in levels) == 4


# Tensors of sizes, and YOLO's stacked pixels.
ONE_STAGE = """
yolox_s_8xb8-300e_coco deformable-detr_r50_16xb2-50e_coco dino-4scale_r50_8xb2-12e_coco
mask2former_r50_8xb2-lsj-50e_coco
"""


@pytest.mark.slow
@pytest.mark.parametrize('name', ONE_STAGE.split())
def test_macs_of_other_detectors_are_those_that_pytorch_counts(name):
    torch.manual_seed(0)
    # The counter's hooks take parameters for what needs a gradient.
    model = config_model(find_config(name), name).eval().requires_grad_(False)
    shape = (3, 256, 320)  # which has more than DINO's 900 places
    graph = trace(model, shape, detector_call(model))
    validate(graph)
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, *shape), [sample(shape)], mode='tensor')
    assert graph.total_macs == counter.get_total_flops() / 2
    assert graph.total_params == sum(part.numel() for part in model.parameters())


def test_yolox_costs_what_is_published():
    # 26.8 GFLOPs, which are two a MAC, and 8.97 million parameters.
    graph = load_source('yolox_s_8xb8-300e_coco').graph
    assert graph.total_macs / 1e9 == pytest.approx(26.8 / 2, rel=0.01)
    assert graph.total_params / 1e6 == pytest.approx(8.97, abs=0.005)


def test_regions_that_are_learned_are_as_many_as_the_config_says():
    graph = load_source('sparse-rcnn_r50_fpn_1x_coco', size=(128, 160)).graph
    macs = dict(zip(graph.names, graph.macs.tolist(), strict=True))
    classes = [macs[f'roi_head.bbox_head.{stage}.fc_cls'] for stage in range(6)]
    assert classes == [100 * 256 * 80] * 6
    # Published: 106 million.
    assert graph.total_params / 1e6 == pytest.approx(106.3, abs=0.06)


def test_a_failed_trace_leaves_the_detector_as_it_was():
    model = built('point-rend_r50-caffe_fpn_ms-1x_coco')
    before = {id(module): dict(vars(module)) for module in model.modules()}
    with pytest.raises(ValueError, match='depends on values'):
        trace(model, SHAPE, detector_call(model))
    for module in model.modules():
        assert vars(module).keys() == before[id(module)].keys()


def test_what_is_no_detector_needs_no_call():
    assert detector_call(torch.nn.ReLU()) is None


def test_a_student_is_built_without_its_teacher():
    cfg = find_config('lad_r101-paa-r50_fpn_2xb8_coco_1x')
    assert cfg.model.teacher_ckpt.startswith('https://')
    student = without_teacher(cfg)
    assert not any('teacher' in key for key in student.model)
    assert 'teacher_ckpt' in cfg.model
    model = built('lad_r101-paa-r50_fpn_2xb8_coco_1x')
    assert type(model).__name__ == 'SingleStageDetector'
