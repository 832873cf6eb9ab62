# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The content of a leaf config for animals, in the words of its file name."""

from leaf_content import common_variants, kind, learning_rate, look_up, workers
from pose_leaves import weights

FILE = 'tests/animal_leaves.py'
ALGORITHM_OF = {
    'ImageClassifier': None,
    'TopdownPoseEstimator': 'td-hm',
    'RetinaNet': 'retinanet',
    'MaskRCNN': 'mask-rcnn',
    'SemanticFPN': 'semantic-fpn',
    'PanopticFPN': 'panoptic-fpn',
}


def size(cfg):
    """Height and width: of the pose's codec, or of the square that a resize fills."""
    if 'codec' in cfg:
        return tuple(cfg.codec.input_size)[::-1]
    steps = {kind(step): step for step in cfg.val_dataloader.dataset.pipeline}
    width, height = steps['Resize'].scale
    filled = cfg.model.get('data_preprocessor', {}).get('pad_size_divisor', width)
    return (height, width) if width == height == filled else None


def content(cfg, defaults):
    algorithm = look_up(ALGORITHM_OF, kind(cfg.model), 'algorithm', FILE)
    root = cfg.train_dataloader.dataset.data_root.rpartition('/')[2]
    names = {'voc_animals': 'animals' if algorithm else 'animals-species'}
    return {
        'algorithm': algorithm,
        'dataset': look_up(names, root, 'dataset', FILE),
        'size': size(cfg),
        'heatmap': tuple(cfg.codec.heatmap_size)[::-1] if 'codec' in cfg else None,
        'weights': weights(cfg, defaults),
        **common_variants(cfg, defaults),
        'lr': learning_rate(cfg, defaults),
        'workers': workers(cfg, defaults),
    }
