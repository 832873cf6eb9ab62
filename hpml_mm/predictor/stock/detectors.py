# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of MMDetection's detectors in which no shape depends on values.

A two-stage detector looks only at regions that its first stage proposes, and so at
what it has computed. Here it looks at fixed ones, ``BOXES`` of them, and its mask head
at the first ``MASKS``: the numbers that MMDetection counts FLOPs with.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

Part: TypeAlias = Any  # a module of MMDetection, whose parts have no types

#: Regions that the heads for boxes and for masks look at.
BOXES, MASKS = 1000, 100


def detector_call(model: Part) -> Callable[[nn.Module, Tensor], Any] | None:
    """Find the function that runs a detector for ``trace``.

    Args:
        model: Any model.

    Returns:
        A function of model and image; None for a model that is no detector of
        MMDetection, which needs none.
    """
    bases = {kind.__module__ for kind in type(model).mro()}
    return _run if 'mmdet.models.detectors.base' in bases else None


def _run(model: Part, image: Tensor) -> Any:
    sample = _sample(image)
    with _whatever_the_values(model):
        if hasattr(model, 'roi_head'):
            return _two_stage(model, image, sample)
        return model(image, [sample], mode='tensor')


def without_teacher(cfg: Config) -> Config:
    """Take the teacher that a detector learnt from out of a config, if it has one.

    Building a teacher reads its config and downloads its weights.
    """
    if 'teacher_ckpt' not in cfg.model:
        return cfg
    cfg = copy.deepcopy(cfg)
    dropped = [k for k in cfg.model if k.startswith(('teacher_', 'eval_'))]
    for key in dropped:
        del cfg.model[key]
    cfg.model.type = 'SingleStageDetector'
    return cfg


def _two_stage(model: Part, image: Tensor, sample: Any) -> list[Any]:
    """Run features, region proposals, and the heads on fixed regions."""
    features, head = model.extract_feat(image), model.roi_head
    regions, outputs = InstanceData(bboxes=image.new_empty(BOXES, 4)), []
    first: Part = model.rpn_head if model.with_rpn else None
    if hasattr(first, 'init_proposal_features'):  # regions that are learned
        (regions,) = first.predict(features, [sample])
    elif first is not None:
        outputs.append(first(features))
    if hasattr(model, 'semantic_head'):
        outputs.append(model.semantic_head(features))
    if hasattr(head, 'num_stages'):
        return [*outputs, *_stages(head, features, regions, sample)]
    return [*outputs, head(features, [regions], [sample])]


def _stages(
    head: Part, features: Sequence[Tensor], regions: InstanceData, sample: Any
) -> Iterator[Any]:
    """Run a head of several stages.

    Its own ``forward`` gives all regions to the masks, or wants labels.
    """
    rois = nn.functional.pad(regions.bboxes, (1, 0))  # of the first image
    shared: dict[str, Any] = {}
    for name, key in (('semantic', 'semantic_feat'), ('glbctx', 'glbctx_feat')):
        if getattr(head, f'with_{name}', False):
            output, shared[key] = getattr(head, f'{name}_head')(features)
            yield output
    if 'features' in regions:
        shared['object_feats'] = regions.features[None]
        shared['batch_img_metas'] = [sample.metainfo]
    for stage in range(head.num_stages):
        found = head._bbox_forward(stage, features, rois, **shared)
        yield found['cls_score'], found.get('bbox_pred', found.get('decoded_bboxes'))
        if 'object_feats' in found:
            shared['object_feats'] = found['object_feats']
    if head.with_mask:
        yield from _masks(head, features, rois[:MASKS], shared, found)


def _masks(
    head: Part,
    features: Sequence[Tensor],
    rois: Tensor,
    shared: Mapping[str, Any],
    last: Mapping[str, Any],
) -> Iterator[Any]:
    """Run the masks of a head of several stages, each kind in its own way."""
    if 'attn_feats' in last:  # sparse, and its last stage alone
        attended = last['attn_feats'].flatten(0, 1)[:MASKS]
        yield head._mask_forward(head.num_stages - 1, features, rois, attended)
    elif getattr(head, 'with_feat_relay', False):  # SCNet
        box = head._bbox_forward(-1, features, rois, **shared)
        relayed = head.feat_relay_head(box['relayed_feat'])
        yield head._mask_forward(features, rois, **shared, relayed_feat=relayed)
    elif hasattr(head, 'mask_info_flow'):  # a hybrid task cascade
        yield head._mask_forward(-1, features, rois, **shared, training=False)
    else:
        for stage in range(head.num_stages):
            yield head._mask_forward(stage, features, rois)['mask_preds']


def _sample(image: Tensor) -> Any:
    """Make what MMDetection wants to know of an image."""
    from mmdet.structures import DetDataSample

    size = tuple(image.shape[-2:])
    names = ('img_shape', 'batch_input_shape', 'pad_shape', 'ori_shape')
    known = dict.fromkeys(names, size)
    return DetDataSample(metainfo={**known, 'scale_factor': (1.0, 1.0)})


@contextlib.contextmanager
def _whatever_the_values(model: Part) -> Iterator[None]:
    """Context in which a detector does what does not depend on values.

    Regions stay where they are, and each level of a pyramid has its share of them: how
    large they are decides which, but not how many in all. Their features are pooled
    from the whole level. A convolution that is computed only where an object is
    expected is computed everywhere.
    """
    fixed: dict[str, tuple[str, Callable[..., Any]]] = {
        'SingleRoIExtractor': ('forward', _shared_out),
        'RoIAlign': ('forward', _pooled),
        'MaskedConv2d': ('forward', _everywhere),
        'DIIHead': ('refine_bboxes', _unmoved),
        'SCNetRoIHead': ('_fuse_glbctx', _added),
    }
    changed = []
    for module in model.modules():
        if found := fixed.get(type(module).__name__):
            name, function = found
            setattr(module, name, functools.partial(function, module))
            changed.append((module, name))
    try:
        yield
    finally:
        for module, name in changed:
            delattr(module, name)


def _shared_out(
    extractor: Part,
    levels: Sequence[Tensor],
    rois: Tensor,
    roi_scale_factor: float | None = None,
) -> Tensor:
    parts = rois.tensor_split(len(levels))
    layers = extractor.roi_layers[: len(levels)]
    return torch.cat([layers[i](levels[i], part) for i, part in enumerate(parts)])


def _pooled(layer: Part, level: Tensor, rois: Tensor) -> Tensor:
    return adaptive_avg_pool2d(level, layer.output_size).expand(len(rois), -1, -1, -1)


def _everywhere(layer: Part, image: Tensor, mask: Tensor | None = None) -> Tensor:
    return nn.Conv2d.forward(layer, image)


def _unmoved(
    head: Part,
    sampling_results: Any,
    bbox_results: Mapping[str, Any],
    batch_img_metas: Any,
) -> list[InstanceData]:
    return [InstanceData(bboxes=bbox_results['rois'][:, 1:])]


def _added(head: Part, regions: Tensor, context: Tensor, rois: Tensor) -> Tensor:
    return regions + context
