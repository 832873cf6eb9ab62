# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Work directories as trainings leave them, written in a moment."""

import json
import os
from pathlib import Path

#: So many iterations has an epoch of theirs, of four samples each.
PER_EPOCH = 10
SCORE = 'accuracy/top1'
START = '20260101_000000'


def made_config(lr=0.1, seed=0, workers=2, epochs=4):
    return {
        'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
        'train_dataloader': {'batch_size': 4, 'num_workers': workers},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': lr}},
        'randomness': {'seed': seed},
        'work_dir': f'anywhere/{seed}',
    }


def made_lines(seed=0, epochs=4, interval=5):
    """Lines of ``scalars.json``: a step takes .5 s, the score is 10 an epoch."""
    lines = []
    for epoch in range(1, epochs + 1):
        for step in range(
            (epoch - 1) * PER_EPOCH + interval, epoch * PER_EPOCH + 1, interval
        ):
            train = {'loss': 1 / step, 'time': 0.5, 'data_time': 0.1, 'lr': 0.1}
            lines.append({**train, 'epoch': epoch, 'iter': step, 'step': step})
        lines.append({SCORE: 10.0 * epoch + seed, 'time': 0.1, 'step': epoch})
    return lines


def write_lines(run: Path, lines, start=START) -> Path:
    path = run / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    return path


def made_summary(seed=0, status='finished', epochs=4, speed=100.0, **config):
    return {
        'status': status,
        'reason': 'RuntimeError: no' if status == 'failed' else None,
        'mode': 'train',
        'metrics': {SCORE: 10.0 * epochs + seed, 'PCK@0.2/Nose': 0.5, 'recall/a': None},
        'best': {SCORE: 10.0 * epochs + seed, 'checkpoint': 'best.pth'},
        'measurements': {'throughput(img/s)': speed, 'verdict': 'fine'},
        'train': {
            'epochs': epochs,
            'iters': epochs * PER_EPOCH,
            'dataset_size': 39,
            'wall_time(s)': 25.0,
        },
        'seed': seed,
        'config': made_config(seed=seed, **config),
        'config_file': 'configs/toy.py',
        'environment': {
            'commit': 'abc',
            'dirty': False,
            'device': 'CPU',
            'torch': '2',
            'processes': 1,
            'date': '2026-01-01T00:00:00+00:00',
            'python': '3.11',
        },
    }


def write_run(run: Path, lines=None, **summary) -> Path:
    """A training whose summary came after its last line."""
    epochs = summary.get('epochs', 4)
    seed = summary.get('seed', 0)
    path = write_lines(run, made_lines(seed, epochs) if lines is None else lines)
    os.utime(path, (1e9, 1e9))
    (run / 'summary.json').write_text(json.dumps(made_summary(**summary)))
    return run
