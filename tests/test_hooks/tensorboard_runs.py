# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Short trainings of a classifier of three classes that log to TensorBoard."""

from pathlib import Path

from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.runner import Runner
from toy_runs import ToyImages, loader, toy_runner

CLASSES = ('cat', 'dog', 'owl')


class Named(ToyImages):
    metainfo = {'classes': CLASSES}


class Recalls(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        recalls = {f'recall/{name}': 100 / n for n, name in enumerate(CLASSES, 1)}
        return {**recalls, 'accuracy/top1': 50.0}


def build(work_dir: Path, lr=0.1, fail_at=None, profile=False, **settings) -> Runner:
    """Runner of two epochs of four iterations, which names a hook of ours in a line."""
    hooks = [dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=2)]
    if profile:
        hooks.append(dict(type='hpml_mm.TorchProfilerHook', active=1))
    logger = dict(type='LoggerHook', interval=2)
    saving = dict(type='CheckpointHook', interval=1, save_best='accuracy/top1')
    parts = dict(
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        val_dataloader={**loader(), 'dataset': Named()},
        val_cfg={},
        val_evaluator=Evaluator(Recalls()),
        default_hooks=dict(checkpoint=saving, logger=logger),
        randomness=dict(seed=0),
    )
    parts |= settings
    cfg = Config(dict(optim_wrapper=parts['optim_wrapper'], work_dir=str(work_dir)))
    runner = toy_runner(work_dir, hooks, **parts, cfg=cfg)
    runner.model.fail_at = fail_at
    return runner


def train(work_dir: Path, **settings) -> Runner:
    """Train what :func:`build` builds."""
    runner = build(work_dir, **settings)
    runner.train()
    return runner
