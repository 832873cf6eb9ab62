# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The content of a leaf config for poses, in the words of its file name."""

from leaf_content import (
    common_variants,
    default,
    hook,
    kind,
    learning_rate,
    look_up,
    workers,
)

FILE = 'tests/pose_leaves.py'
DATASET_OF = {'cats': 'cats', 'coco_person': 'coco', 'lspet': 'lspet'}
ALGORITHM_OF = {
    ('TopdownPoseEstimator', 'HeatmapHead'): 'td-hm',
    ('TopdownPoseEstimator', 'hpml_mm.SkipHeatmapHead'): 'td-hm',
}
HEAD_OF = {'HeatmapHead': None, 'SkipHeatmapHead': 'skip'}
SELECTION_OF = {None: None, 10_000: 'first10k'}
# Scale, rotation, (shift, its probability), half body, colours, albumentations.
MILD, COCO = ((0.8, 1.2), 20), ((0.65, 1.35), 90)
AIOP = (0.75, 1.25), 60
STILL, MOVED = (None, 0), (0.15, 1.0)
JITTERS = ('PhotometricDistortion', 'RandomBBoxTransform')
#: What is MMPose 0's where a leaf says legacy.
LEGACY_OF = {'photometric': JITTERS[:1], 'heavy': JITTERS}
AUGMENTATION_OF = {
    (*MILD, STILL, False, False, False): None,
    (*MILD, STILL, True, False, False): 'halfbody',
    (*MILD, MOVED, False, False, False): 'translation',
    (*MILD, MOVED, True, False, False): 'halfbody-translation',
    (*MILD, STILL, False, False, True): 'albumentation',
    (*MILD, STILL, False, True, False): 'photometric',
    ((0.5, 1.5), 80, (0.15, 0.3), True, True, False): 'heavy',
    (*COCO, STILL, True, False, False): None,
    (*AIOP, STILL, False, False, False): None,
}


def dataset(cfg):
    root = cfg.train_dataloader.dataset.data_root.rpartition('/')[2]
    return look_up(DATASET_OF, root, 'dataset', FILE)


def weights(cfg, defaults):
    pretrained = (cfg.model.backbone.init_cfg or {}).get('type') == 'Pretrained'
    found = 'finetune' if cfg.load_from else 'pretrained' if pretrained else 'scratch'
    return None if found == default(defaults, 'weights') else found


def sigma(cfg, defaults):
    """How much wider a target is than usual at this size, if it is."""
    times = cfg.codec.sigma / default(defaults, 'sigma')
    return None if times == 1 else f'sigma{times:g}'


def augmentation(cfg):
    steps = {kind(step): step for step in cfg.train_dataloader.dataset.pipeline}
    legacy = [f'Legacy{name}' for name in JITTERS if f'Legacy{name}' in steps]
    steps |= {name.removeprefix('Legacy'): steps[name] for name in legacy}
    box = steps['RandomBBoxTransform']
    found = (
        tuple(box.scale_factor),
        box.rotate_factor,
        (box.get('shift_factor'), box.shift_prob),
        'RandomHalfBody' in steps,
        'PhotometricDistortion' in steps,
        'Albumentation' in steps,
    )
    word = look_up(AUGMENTATION_OF, found, 'augmentation', FILE)
    if legacy:
        assert legacy == [f'Legacy{name}' for name in LEGACY_OF[word]]
    return f'{word}-legacy' if legacy else word


def boxes(cfg):
    found = 'detected' if cfg.val_dataloader.dataset.get('bbox_file') else None
    if 'test-dev' not in cfg.test_dataloader.dataset.ann_file:
        return found
    assert 'test-dev2017_detections' in cfg.test_dataloader.dataset.bbox_file
    return f'{found}-test-dev'


def content(cfg, defaults):
    first = cfg.train_dataloader.dataset.get('max_images')
    found = cfg.model.type, cfg.model.head.type
    return {
        'algorithm': look_up(ALGORITHM_OF, found, 'algorithm', FILE),
        'dataset': dataset(cfg),
        'size': tuple(cfg.codec.input_size)[::-1],
        'heatmap': tuple(cfg.codec.heatmap_size)[::-1],
        'weights': weights(cfg, defaults),
        **common_variants(cfg, defaults),
        'lr': learning_rate(cfg, defaults),
        'lr_scaling': 'scaled-lr' if cfg.auto_scale_lr.get('enable') else None,
        'head': look_up(HEAD_OF, kind(cfg.model.head), 'head', FILE),
        'sigma': sigma(cfg, defaults),
        'selection': look_up(SELECTION_OF, first, 'selection', FILE),
        'boxes': boxes(cfg),
        'augmentation': augmentation(cfg),
        'input': 'fused-input' if hook(cfg, 'FastPoseInputHook') else None,
        'workers': workers(cfg, defaults),
    }
