# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The content of a leaf config for faces, in the words of its file name."""

from leaf_content import common_variants, hook, kind, look_up, workers

DATASET_OF = {
    ('FERFolderDataset', 'splits', 'fer2013'): 'fer2013',
    ('FERFolderDataset', 'single', 'fer2013_single'): 'fer2013-single',
    ('FERCSVDataset', 'splits', 'fer2013'): 'fer2013-csv',
    ('DemoFaceDataset', 'splits', ''): 'demo-faces',
}
STEPS_OF = {(80, 5, 0.9): 'step', (100, 15, 0.85): 'step-tuned'}
AUGMENTATION_OF = {
    (): None,
    ('BatchColorJitter', 'BatchGaussianBlur'): 'jitter-blur',
    (1.0, 10): 'rotate',
    (1.0, (0, 10)): 'rotate',
}


def class_balance(cfg):
    if kind(cfg.train_dataloader.sampler) == 'ClassBalancedSampler':
        return 'balanced'
    return 'weighted-loss' if hook(cfg, 'ClassWeightHook') else None


def faces(loader):
    """The data set that reads a loader's faces, also where an array keeps them."""
    data = loader.dataset
    return data.source if kind(data) == 'FaceArrayDataset' else data


def augmentation(cfg):
    data = cfg.train_dataloader.dataset
    steps = {kind(s): s for s in data.get('pipeline', data.get('augment', []))}
    found = ()
    if 'BatchRandomApply' in steps:
        found = tuple(kind(inner) for inner in steps['BatchRandomApply'].transforms)
    if 'BatchRotate' in steps:
        found += (steps['BatchRotate'].get('prob', 1.0), steps['BatchRotate'].degrees)
    if 'Rotate' in steps:
        found += (steps['Rotate'].prob, steps['Rotate'].magnitude_range)
    return look_up(AUGMENTATION_OF, found, 'augmentation', 'tests/fer_leaves.py')


def schedule(cfg):
    steps = [s for s in cfg.param_scheduler if kind(s) in ('StepLR', 'DelayedStep')]
    if len(steps) != 1 or len(cfg.param_scheduler) != 1:
        return None
    (step,) = steps
    if kind(step) == 'DelayedStep':  # shares of light FER's 300 epochs
        found = round(300 * step.start), round(300 * step.every), step.rate
    else:
        found = step.begin, step.step_size, step.gamma
    return look_up(STEPS_OF, found, 'schedule', 'tests/fer_leaves.py')


def dataset(cfg):
    data = faces(cfg.train_dataloader)
    root = data.get('data_root', '').rpartition('/')[2]
    found = kind(data), data.get('layout', 'splits'), root
    return look_up(DATASET_OF, found, 'dataset', 'tests/fer_leaves.py')


def size(cfg):
    """Height and width, of the transform that sets them last."""
    data = cfg.val_dataloader.dataset
    found = None
    for step in data.get('augment') or data.get('pipeline') or []:
        given = [step.get(key) for key in ('size', 'scale', 'crop_size')]
        found = next((value for value in given if value), found)
    found = found or 48  # FER2013's own
    return tuple(found) if isinstance(found, list | tuple) else (found, found)


def content(cfg, defaults):
    backbone = cfg.model.backbone
    pretrained = (backbone.get('init_cfg') or {}).get('type') == 'Pretrained'
    crossing = faces(cfg.train_dataloader).get('drop_crossing')
    array = kind(cfg.train_dataloader.dataset) == 'FaceArrayDataset'
    return {
        'dataset': dataset(cfg),
        'size': size(cfg),
        'weights': 'pretrained' if pretrained else None,
        **common_variants(cfg, defaults),
        'batch_norm': 'bn99' if backbone.get('bn_momentum') == 0.99 else None,
        'selection': 'no-crossing' if crossing else None,
        'class_balance': class_balance(cfg),
        'augmentation': augmentation(cfg),
        'schedule': schedule(cfg),
        'input': 'array' if array else None,
        'workers': None if array else workers(cfg, defaults),
    }
