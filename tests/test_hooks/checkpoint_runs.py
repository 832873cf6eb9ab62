# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that save checkpoints, for tests of the hook that does."""

from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from toy_runs import for_validation, toy_runner

BACKGROUND = pytest.mark.parametrize('in_background', [False, True])


class Scores(BaseMetric):
    """A metric with a score and an error, given for each validation."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = list(scores)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = self.scores.pop(0)
        return {'acc': score, 'error': -score}


def saving(work_dir, hooks=(), kind='hpml_mm.CheckpointHook', epochs=3, **settings):
    changes = {
        key: settings.pop(key) for key in ('resume', 'load_from') & settings.keys()
    }
    if scores := settings.pop('scores', None):
        changes |= for_validation() | {'val_evaluator': Evaluator(Scores(*scores))}
    return toy_runner(
        work_dir,
        hooks,
        default_hooks={'checkpoint': {'type': kind, **settings}},
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        randomness={'seed': 0},
        param_scheduler={'type': 'MultiStepLR', 'milestones': [1]},
        **changes,
    )


def names(folder, pattern='*.pth'):
    hidden = pattern.startswith('.')
    found = [one for one in Path(folder).glob(pattern) if one.name[0] != '.' or hidden]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def load(path):
    return torch.load(path, weights_only=False)
