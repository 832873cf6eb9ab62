# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Short trainings of a fourth of the mini-Xception on drawn faces, in this process."""

import uuid
from pathlib import Path

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
from leaves import CONFIGS
from mmengine.config import Config
from mmengine.runner import Runner

from hpml_mm.models import MiniXception
from hpml_mm.registry import MODELS

DEMO = CONFIGS / 'demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py'
#: 133 faces to train with, of which 128 can be calibrated with, and 21 to validate on.
FACES = {'train': 19, 'val': 3, 'test': 3}
#: Convolutions of the network.
LAYERS = 8
BACKBONE = 'hpml_mm.OneBlock'


@MODELS.register_module()
class OneBlock(MiniXception):
    """Of its four blocks the last: what takes long is to export each operation."""

    BLOCK_CHANNELS = MiniXception.BLOCK_CHANNELS[-1:]


def demo_config(work_dir: Path, epochs: int = 1, hooks=(), **changes) -> Config:
    """The demo on few faces, the same ones in each epoch, with these hooks alone."""
    cfg = Config.fromfile(DEMO)
    cfg.work_dir = str(work_dir)
    # Runners keep their logs by this name; two in one second would share them.
    cfg.experiment_name = uuid.uuid4().hex
    pipeline = cfg.val_dataloader.dataset.pipeline
    for split, count in FACES.items():
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(num_per_class=count, pipeline=pipeline)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs)
    cfg.param_scheduler = []
    cfg.model.backbone.type = BACKBONE
    cfg.optim_wrapper.optimizer.lr = 0.01
    cfg.custom_hooks = list(hooks)
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=-1, save_best=None)
    cfg.visualizer.vis_backends = [dict(type='TensorboardVisBackend')]
    cfg.merge_from_dict(changes)
    return cfg


def demo_runner(work_dir: Path, epochs: int = 1, hooks=(), **changes) -> Runner:
    """A runner of :func:`demo_config`."""
    return Runner.from_cfg(demo_config(work_dir, epochs, hooks, **changes))
