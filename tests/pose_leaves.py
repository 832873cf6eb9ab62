# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a leaf config for poses does, in the words of its file name."""

from leaves import common_variants, hook, kind, optimizer, workers

MODEL_OF = {'ResNet': 'res50', 'HRNet': 'hrnet-w32', 'MobileNetV2': 'mobilenet-v2'}
DATASET_OF = {'cats': 'cats', 'coco_person': 'coco'}
# What is not named, for each data set.
DEFAULT_LR = {'cats': 1e-5, 'coco': 1e-3}
DEFAULT_WEIGHTS = {'cats': 'pretrained', 'coco': 'scratch'}
# For each width of the heatmaps.
SIGMA_OF = {'cats': {24: 2 / 3, 32: 1, 48: 4 / 3, 64: 2}, 'coco': {48: 2}}
DEFAULT_WARMUP = {20: 10, 210: 500, 100: 10, 150: 10, 175: 10, 200: 10, 10: 10, 70: 10}
# Scale, rotation, (shift, its probability), half body, colours, albumentations.
MILD, COCO = ((0.8, 1.2), 20), ((0.65, 1.35), 90)
STILL, MOVED = (None, 0), (0.15, 1.0)
AUGMENTATION_OF = {
    'cats': {
        (*MILD, STILL, False, False, False): None,
        (*MILD, STILL, True, False, False): 'halfbody',
        (*MILD, MOVED, False, False, False): 'translation',
        (*MILD, MOVED, True, False, False): 'halfbody-translation',
        (*MILD, STILL, False, False, True): 'albumentation',
        (*MILD, STILL, False, True, False): 'photometric',
        ((0.5, 1.5), 80, (0.15, 0.3), True, True, False): 'heavy',
    },
    'coco': {(*COCO, STILL, True, False, False): None},
}


def dataset(cfg):
    return DATASET_OF[cfg.train_dataloader.dataset.data_root.rpartition('/')[2]]


def model(cfg):
    backbone = cfg.model.backbone
    assert backbone.get('depth') in (None, 50)
    if kind(backbone) == 'HRNet':
        assert backbone.extra.stage4.num_channels == [32, 64, 128, 256]
    return MODEL_OF[kind(backbone)]


def weights(cfg):
    pretrained = (cfg.model.backbone.init_cfg or {}).get('type') == 'Pretrained'
    found = 'finetune' if cfg.load_from else 'pretrained' if pretrained else 'scratch'
    return None if found == DEFAULT_WEIGHTS[dataset(cfg)] else found


def learning_rate(cfg):
    lr = cfg.optim_wrapper.optimizer.lr
    if lr == DEFAULT_LR[dataset(cfg)]:
        return None
    mantissa, exponent = f'{lr:e}'.split('e')
    return f'lr{float(mantissa):g}e{int(exponent)}'


def sigma(cfg):
    """How much wider a target is than the source's at this size, if it is."""
    width = cfg.codec.heatmap_size[0]
    default = SIGMA_OF[dataset(cfg)][width]
    times = cfg.codec.sigma / default
    return None if times == 1 else f'sigma{times:g}'


def augmentation(cfg):
    steps = {kind(step): step for step in cfg.train_dataloader.dataset.pipeline}
    box = steps['RandomBBoxTransform']
    found = (
        tuple(box.scale_factor),
        box.rotate_factor,
        (box.get('shift_factor'), box.shift_prob),
        'RandomHalfBody' in steps,
        'PhotometricDistortion' in steps,
        'Albumentation' in steps,
    )
    return AUGMENTATION_OF[dataset(cfg)][found]


def schedule(cfg):
    warmup, steps = cfg.param_scheduler
    assert (warmup.type, warmup.by_epoch) == ('LinearLR', False)
    assert steps.type == 'MultiStepLR'
    default = DEFAULT_WARMUP[cfg.train_cfg.max_epochs]
    return None if warmup.end == default else f'warmup{warmup.end}'


def variants(cfg):
    first = cfg.train_dataloader.dataset.get('max_images')
    found = {
        'weights': weights(cfg),
        **common_variants(cfg),
        'optimizer': optimizer(cfg, 'adam'),
        'lr': learning_rate(cfg),
        'lr_scaling': 'scaled-lr' if cfg.auto_scale_lr.get('enable') else None,
        'sigma': sigma(cfg),
        'selection': {None: None, 10_000: 'first10k'}[first],
        'boxes': 'detected' if cfg.val_dataloader.dataset.get('bbox_file') else None,
        'augmentation': augmentation(cfg),
        'schedule': schedule(cfg),
        'input': 'fused-input' if hook(cfg, 'FastPoseInputHook') else None,
        'workers': workers(cfg, 2),
    }
    return {axis: variant for axis, variant in found.items() if variant}
