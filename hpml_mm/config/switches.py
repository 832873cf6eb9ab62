# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Switches of the command line that change a config as OpenMMLab's scripts do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from .arguments import check_display

PREPARE_TTA_HOOK = 'PrepareTTAHook'
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Hook of each library that draws predictions.
_DRAWING = {'mmpretrain': 'VisualizationHook', 'mmpose': 'PoseVisualizationHook'}


@dataclass(frozen=True)
class Switches:
    """Options of ``tools/train.py`` and ``tools/test.py`` of MMPretrain and MMPose.

    Attributes:
        validate: False to train without a validation.
        auto_scale_lr: True to scale the learning rate by the batch size.
        pin_memory: False to leave batches in pageable memory.
        persistent_workers: False to start workers for each epoch.
        show: True to show predictions in a window.
        show_dir: Folder for pictures of predictions.
        interval: Draw each so many images.
        wait_time: Seconds that a picture stays in the window.
        badcase: True to have MMPose report the worst cases of a test.
        dump: File for the predictions of a test, ``.pkl``.
    """

    validate: bool = True
    auto_scale_lr: bool = False
    pin_memory: bool = True
    persistent_workers: bool = True
    show: bool = False
    show_dir: str | None = None
    interval: int = 1
    wait_time: float = 1.0
    badcase: bool = False
    dump: str | None = None


def apply_switches(cfg: Config, switches: Switches) -> dict[str, Any]:
    """Change ``cfg``; return the changes that make another training of it.

    Raises:
        ValueError: The config has no part that a switch needs.
    """
    changes: dict[str, Any] = {}
    if not switches.validate and cfg.get('val_cfg') is not None:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        changes['validate'] = False
    if switches.auto_scale_lr and _scale_lr(cfg):
        changes['auto_scale_lr'] = True
    for loader in filter(None, map(cfg.get, _LOADERS)):
        if not switches.pin_memory:
            loader['pin_memory'] = False
        if not switches.persistent_workers:
            loader['persistent_workers'] = False
    if switches.show or switches.show_dir is not None:
        _draw(cfg, switches)
    if switches.badcase:
        _analyse_bad_cases(cfg, switches)
    if switches.dump is not None:
        _dump(cfg, switches.dump)
    return changes


def _scale_lr(cfg: Config) -> bool:
    """Enable the scaling; ``False`` where the config does."""
    scaling = cfg.get('auto_scale_lr') or {}
    if not scaling.get('base_batch_size'):
        raise ValueError(
            f'--auto-scale-lr: {cfg.filename} has no auto_scale_lr.base_batch_size, '
            'the images of a step that its learning rate is for; add --cfg-options '
            'auto_scale_lr.base_batch_size=N'
        )
    if scaling.get('enable'):
        return False
    scaling['enable'] = True
    return True


def _draw(cfg: Config, switches: Switches) -> None:
    """Have the library's hook draw predictions of validation and test."""
    option = '--show' if switches.show else '--show-dir'
    if switches.show:
        check_display('--show-dir DIR writes files')
    if switches.interval < 1:
        raise ValueError(f'--interval {switches.interval}: at least 1')
    hooks = dict(cfg.get('default_hooks') or {})
    kind = _DRAWING.get(cfg.get('default_scope'))
    if 'visualization' not in hooks and kind is None:
        raise ValueError(
            f'{option}: {cfg.filename} has no default_hooks.visualization, the hook '
            f'that draws, and default_scope is none of {", ".join(_DRAWING)}'
        )
    hook = ConfigDict(hooks.get('visualization') or {'type': kind})
    hook.update(enable=True, show=switches.show, interval=switches.interval)
    hook.wait_time = switches.wait_time
    # MMPose puts a relative one below a folder with the time.
    folder = switches.show_dir and Path(switches.show_dir).absolute()
    hook.out_dir = folder and str(folder)
    cfg.default_hooks = ConfigDict({**hooks, 'visualization': hook})


def _analyse_bad_cases(cfg: Config, switches: Switches) -> None:
    """Enable MMPose's hook for bad cases, as its ``tools/test.py`` does."""
    hook = (cfg.get('default_hooks') or {}).get('badcase')
    if hook is None:
        raise ValueError(
            f'--badcase: {cfg.filename} has no default_hooks.badcase; in a config of '
            "MMPose add badcase=dict(type='BadCaseAnalysisHook', out_dir='badcase')"
        )
    hook.update(enable=True, show=switches.show, interval=switches.interval)
    hook.wait_time = switches.wait_time
    if not hook.get('metric'):
        by_loss = hook.get('metric_type', 'loss') == 'loss'
        hook.metric = cfg.model.head.loss if by_loss else cfg.test_evaluator


def _dump(cfg: Config, path: str) -> None:
    given = cfg.test_evaluator
    evaluators = [given] if isinstance(given, Mapping) else list(given)
    cfg.test_evaluator = [*evaluators, {'type': 'DumpResults', 'out_file_path': path}]


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
