# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A config of tiny trainings that bodies are put into, and a summary of one."""

from pathlib import Path

from fake_training import SUMMARY
from toy_tasks import toy_task

METRIC = 'PCK@0.2:max'
SPACE = 'nas-bench-macro'
# 3 epochs of 6 steps of 2 images, and a validation after each: an hour and a half.
FINISHED = SUMMARY | {
    'metrics': {'PCK@0.2': 0.5},
    'measurements': {
        'throughput(img/s)': 36 / 3600,
        'val/time(s)': 600.0,
        'cpu/crowded': 'others took 75 % of the cores',
    },
    'train': {'wall_time(s)': 720.0, 'dataset_size': 12},
    'environment': SUMMARY['environment'] | {'processes': 1},
}


def write_config(folder: Path) -> None:
    cfg = toy_task('poses', folder, folder / 'run')
    del cfg._cfg_dict['work_dir'], cfg._cfg_dict['experiment_name']
    cfg.custom_imports = {'imports': ['toy_tasks']}
    cfg.default_hooks.checkpoint = {'type': 'CheckpointHook', 'interval': 1}
    cfg.dump(folder / 'config.py')
