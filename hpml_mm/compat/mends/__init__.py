# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mends of faults that stock packages show with the libraries of today."""

ALBUMENTATIONS = 'hpml_mm.compat.mends.albumentations'
COCO = 'hpml_mm.compat.mends.coco_lines'
CONFIGS = 'hpml_mm.compat.mends.configs'
NUMPY = 'hpml_mm.compat.mends.numpy2'

# Stock module -> what mends it. Each looks for the fault and not for a version, and
# leaves alone what is right.
MENDS = {
    # stands beside another MMEngine, or is too old: refused as it is imported, so that
    # `hpml doctor` can run, which does without
    'mmengine': 'hpml_mm.compat.mends.refused_packages',
    # a fixed table of the packages whose configs `package::name` finds; a text that
    # is formatted anew at each checkpoint
    'mmengine.config.utils': CONFIGS,
    'mmengine.config.config': CONFIGS,
    # has a list with getattr, and loads in the unsafe way what is refused by it
    'mmengine.runner.checkpoint': 'hpml_mm.compat.mends.safe_load',
    # begins a run in each tracker before anything is built that may fail
    'mmengine.visualization.visualizer': 'hpml_mm.compat.mends.visualizer',
    # executes the text of a config that a checkpoint holds
    'mmengine.infer.infer': 'hpml_mm.compat.mends.infer',
    # errors of OpenCV and Pillow that do not name the file
    'mmcv.transforms.loading': 'hpml_mm.compat.mends.images',
    # imports imgaug, which is dead, whatever is used of mmdet.datasets
    'mmdet.datasets.transforms.generate_line': 'hpml_mm.compat.mends.imgaug',
    # fails on a detector that finds nothing, and so CocoMetric says nothing
    'mmdet.datasets.api_wrappers.coco_api': 'hpml_mm.compat.mends.empty_results',
    # arguments of albumentations 1, a module that 2 lacks, a generator of its own
    'mmpose.datasets.transforms.common_transforms': ALBUMENTATIONS,
    'mmdet.datasets.transforms.transforms': ALBUMENTATIONS,
    'mmpretrain.datasets.transforms.processing': ALBUMENTATIONS,
    # int(array of one element), of 2.4 a TypeError, and so two hooks that draw
    'mmpose.visualization.opencv_backend_visualizer': NUMPY,
    # such an array assigned to one element
    'mmpose.datasets.datasets.wholebody3d.ubody3d_dataset': NUMPY,
    # np.count_nonzero, which returned an int: the panoptic hands and six others
    'mmpose.datasets.datasets.base.base_coco_style_dataset': NUMPY,
    # poseval, which is on no index; its place is taken where it is missing
    'mmpose.evaluation.metrics.posetrack18_metric': 'hpml_mm.compat.mends.posetrack',
    # lines on the screen of every run: of a level that is switched off, of a package
    # that is not used, and past the log
    'mmengine.logging': 'hpml_mm.compat.mends.lines_without_logger',
    'mmdet.evaluation.metrics.faster_coco_metric': 'hpml_mm.compat.mends.faster_coco',
    'xtcocotools.coco': COCO,
    'xtcocotools.cocoeval': COCO,
    'pycocotools.coco': COCO,
    'pycocotools.cocoeval': COCO,
}
