# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a leaf config for faces does, in the words of its file name."""

from leaves import common_variants, hook, kind, optimizer, workers

MODEL_OF = {'MiniXception': 'mini-xception', 'EfficientNet': 'efficientnet-b0'}
DEFAULT_OPTIMIZER = {'mini-xception': 'sgd-nesterov', 'efficientnet-b0': 'adam'}
DEFAULT_WORKERS = {'mini-xception': 2, 'efficientnet-b0': 4}
DATASET_OF = {
    ('FERFolderDataset', 'splits', 'fer2013'): 'fer2013',
    ('FERFolderDataset', 'single', 'fer2013_single'): 'fer2013-single',
    ('FERCSVDataset', 'splits', 'fer2013'): 'fer2013-csv',
    ('DemoFaceDataset', 'splits', ''): 'demo-faces',
}
STEPS_OF = {(80, 5, 0.9): 'step', (100, 15, 0.85): 'step-tuned'}


def class_balance(cfg):
    if kind(cfg.train_dataloader.sampler) == 'ClassBalancedSampler':
        return 'balanced'
    return 'weighted-loss' if hook(cfg, 'ClassWeightHook') else None


def faces(loader):
    """The data set that reads a loader's faces, also where an array keeps them."""
    data = loader.dataset
    return data.source if kind(data) == 'FaceArrayDataset' else data


def augmentation(cfg):
    for step in cfg.train_dataloader.dataset.get('pipeline', []):
        if kind(step) == 'RandomApply':
            names = [inner.type for inner in step.transforms]
            assert names == ['torchvision/ColorJitter', 'torchvision/GaussianBlur']
            return 'jitter-blur'
        if kind(step) == 'Rotate':
            assert (step.prob, step.magnitude_range) == (1.0, (0, 10))
            return 'rotate'
    return None


def schedule(cfg):
    if [s.type for s in cfg.param_scheduler] != ['StepLR']:
        return None
    (step,) = cfg.param_scheduler
    return STEPS_OF[step.begin, step.step_size, step.gamma]


def variants(cfg):
    backbone = cfg.model.backbone
    pretrained = backbone.get('init_cfg', {}).get('type') == 'Pretrained'
    crossing = faces(cfg.train_dataloader).get('drop_crossing')
    array = kind(cfg.train_dataloader.dataset) == 'FaceArrayDataset'
    found = {
        'weights': 'pretrained' if pretrained else None,
        **common_variants(cfg),
        'optimizer': optimizer(cfg, DEFAULT_OPTIMIZER[model(cfg)]),
        'batch_norm': 'bn99' if backbone.get('bn_momentum') == 0.99 else None,
        'selection': 'no-crossing' if crossing else None,
        'class_balance': class_balance(cfg),
        'augmentation': augmentation(cfg),
        'schedule': schedule(cfg),
        'input': 'array' if array else None,
        'workers': None if array else workers(cfg, DEFAULT_WORKERS[model(cfg)]),
    }
    return {axis: variant for axis, variant in found.items() if variant}


def model(cfg):
    backbone = cfg.model.backbone
    assert backbone.get('arch') in (None, 'b0')
    return MODEL_OF[kind(backbone)]


def dataset(cfg):
    data = faces(cfg.train_dataloader)
    root = data.get('data_root', '').rpartition('/')[2]
    return DATASET_OF[kind(data), data.get('layout', 'splits'), root]
