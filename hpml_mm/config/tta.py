# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Test a classifier on each image and on its mirror image, and average the scores."""

from mmengine.config import Config

PREPARE_TTA_HOOK = 'PrepareTTAHook'


def add_tta(cfg: Config) -> None:
    """Have a test average over several views of each image.

    The views are those of the config's ``tta_pipeline``, merged by its ``tta_model``,
    as in MMPretrain. A classifier without them is tested on the image and its mirror
    image, and the mean of the two scores counts.

    Raises:
        ValueError: If the model is no classifier of MMPretrain and the config does not
            say how to merge, or says half of it.
    """
    loader = cfg.test_dataloader
    given = [key for key in ('tta_model', 'tta_pipeline') if cfg.get(key)]
    if len(given) == 1:
        raise ValueError(f'--tta: {cfg.filename} has {given[0]} and not the other')
    if not given:
        if cfg.get('default_scope') != 'mmpretrain':
            raise ValueError(
                f'--tta: {cfg.filename} has no tta_model and tta_pipeline, and only a '
                'classifier of MMPretrain can do without; a pose model averages with '
                'the mirror image by model.test_cfg.flip_test=True'
            )
        if 'pipeline' not in loader.dataset:
            raise ValueError(
                f'--tta: test_dataloader.dataset of {cfg.filename} is '
                f'{loader.dataset.type}, which has no pipeline to make views with; '
                'test the checkpoint with the config whose faces come from a pipeline'
            )
        cfg.tta_model = {'type': 'AverageClsScoreTTA'}
        *steps, pack = loader.dataset.pipeline
        flips = [{'type': 'RandomFlip', 'prob': prob} for prob in (0.0, 1.0)]
        views = {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}
        cfg.tta_pipeline = [*steps, views]
    loader.dataset.pipeline = cfg.tta_pipeline
    # Wraps the model when its weights are in it.
    hook = {'type': PREPARE_TTA_HOOK, 'tta_cfg': dict(cfg.tta_model)}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
