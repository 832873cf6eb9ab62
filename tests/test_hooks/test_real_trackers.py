# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What the clients of MLflow, W&B and ClearML keep of a training, without a server."""

import json
import os
import sqlite3
import struct
from collections import defaultdict
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from python_process import run_python
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

MISSING = [name for name in ('clearml', 'mlflow', 'wandb') if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f'no {MISSING}: the extra "trackers"'),
]

ROOT = Path(__file__).resolve().parents[2]
# Names of a user's classes and keypoints, and of MMPose's own metrics.
TRAIN = """
import sys

import hpml_mm  # as custom_imports does, before the trackers begin
import numpy as np
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from toy_runs import ToyMetric, for_validation, toy_runner


class Scores(ToyMetric):
    def compute_metrics(self, results):
        names = ('PCK@0.2', 'PCK@0.2/L_Eye', 'AP (M)', 'recall/Sad!', 'recall/Sad?')
        return dict.fromkeys((*names, 'recall/dégoût', 'x' * 300), 0.5)


class Pictures(Hook):
    def after_val_epoch(self, runner, metrics=None):
        picture = np.zeros((4, 4, 3), np.uint8)
        runner.visualizer.add_image('confusion/Held out?', picture, runner.iter)


clearml = dict(
    auto_connect_arg_parser=False,
    auto_connect_frameworks=False,
    auto_resource_monitoring=False,
)
backends = [
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend'),
    dict(type='MLflowVisBackend'),
    dict(type='WandbVisBackend'),
]
resumed = sys.argv[1:] == ['resume']
if not resumed:
    backends.append(
        dict(type='ClearMLVisBackend', init_kwargs=clearml, artifact_suffix=())
    )
runner = toy_runner(
    'work',
    [dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=2), Pictures()],
    **for_validation() | dict(val_evaluator=Evaluator(Scores())),
    cfg=Config(dict(work_dir='work', resume=resumed)),
    train_cfg=dict(by_epoch=True, max_epochs=3 if resumed else 2),
    default_hooks=dict(
        checkpoint=dict(type='CheckpointHook', interval=1),
        logger=dict(type='LoggerHook', interval=2),
    ),
    resume=resumed,
    visualizer=dict(type='Visualizer', vis_backends=backends),
)
runner.train()
"""
TRAINED = {
    *('train/loss', 'train/lr', 'train/time', 'train/data_time'),
    *('train/throughput_img_per_s', 'train/memory/peak_GiB', 'epoch', 'iter'),
}
VALIDATED = {
    *('val/PCK_0.2/all', 'val/PCK_0.2/L_Eye', 'val/AP_M', 'val/recall/Sad'),
    *('val/recall/Sad_2', 'val/recall/dégoût', 'val/time', 'val/data_time'),
    'val/' + 'x' * 236,
}


def steps(epochs):
    """Steps of each name after so many epochs of four iterations."""
    iters = 4 * epochs
    trained = dict.fromkeys(TRAINED, [*range(2, iters + 1, 2)])
    return {**trained, **dict.fromkeys(VALIDATED, [*range(4, iters + 1, 4)])}


# Two epochs, and one more in a process that goes on.
STEPS = steps(3)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where a training with all trackers at once has left its files."""
    folder = tmp_path_factory.mktemp('trackers')
    (folder / 'train.py').write_text(TRAIN, encoding='utf-8')
    env = {
        'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}:{ROOT / "tests/test_hooks"}',
        'HOME': str(folder),
        'MLFLOW_DISABLE_TELEMETRY': 'true',
        'WANDB_MODE': 'offline',
        'WANDB_ERROR_REPORTING': 'false',
        'CLEARML_OFFLINE_MODE': '1',
        'CLEARML_CACHE_DIR': str(folder / 'clearml'),
    }
    for words in ([], ['resume']):
        result = run_python(['train.py', *words], folder, os.environ | env)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder


def test_tensorboard(folder):
    board = EventAccumulator(str(folder / 'work')).Reload()
    tags = board.Tags()
    found = {tag: [e.step for e in board.Scalars(tag)] for tag in tags['scalars']}
    wanted = {name: STEPS[name] for name in STEPS if name not in ('epoch', 'iter')}
    assert found == wanted | {
        'train/epoch': STEPS['epoch'],
        'main/PCK_0.2': [4, 8, 12],
        'main/throughput_img_per_s': [*range(2, 13, 2)],
    }
    assert tags['images'] == ['pictures/confusion/Held out']


def test_local_files(folder):
    pictures = sorted(folder.glob('work/*/vis_data/vis_image/confusion/*.png'))
    assert {path.name for path in pictures} == {
        f'Held out_{step}.png' for step in (4, 8, 12)
    }


def test_mlflow(folder):
    """One run in a database beside the work directory; nothing in the current one."""
    assert not (folder / 'mlruns').exists()
    with closing(sqlite3.connect(folder / 'mlflow.db')) as store:
        ((name, status, artifacts),) = store.execute(
            'select name, status, artifact_uri from runs'
        )
        metrics = store.execute(
            'select key, step from metrics order by step'
        ).fetchall()
        settings = dict(store.execute('select key, value from params'))
    assert (name, status) == ('work', 'FINISHED')
    found = defaultdict(list)
    for key, step in metrics:
        found[key].append(step)
    assert found == STEPS
    assert settings['optimizer'] == 'SGD'
    assert settings['lr'] == '0.1'
    assert settings['batch_size'] == '4'
    place = Path(artifacts.removeprefix('file://'))
    assert place.is_relative_to(folder / 'mlartifacts')
    assert {path.name for path in place.glob('confusion/*.png')} == {
        f'Held out_{step}.png' for step in (4, 8, 12)
    }


def wandb_records(path):
    """Records of W&B's file: blocks of 32 KiB, within them LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, record = path.read_bytes(), 7, b''
    while place < len(data):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from('<IHB', data, place)
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(record)
            record = b''


def test_wandb(folder):
    first, second = sorted(folder.rglob('offline-run-*/*.wandb'))
    assert first.name == second.name  # the id of the run
    records = [*wandb_records(first), *wandb_records(second)]
    found = defaultdict(list)
    for record in records:
        items = {
            item.key or '/'.join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for name in items:
            found[name].append(items['iter'])
    assert {name: found[name] for name in STEPS.keys() - {'iter'}} == {
        name: steps for name, steps in STEPS.items() if name != 'iter'
    }
    assert found['confusion/Held out/path'] == [4, 8, 12]
    runs = [record.run for record in records if record.HasField('run')]
    assert {run.display_name for run in runs} == {'work'}
    told = [
        json.loads(item.value_json)
        for record in records
        for item in [*record.config.update, *record.run.config.update]
        if item.key == 'settings'
    ]
    assert {one['lr'] for one in told} == {0.1}
    metrics = [record.metric for record in records if record.HasField('metric')]
    axes = [(metric.glob_name, metric.step_metric) for metric in metrics]
    assert ('*', 'iter') in axes


def test_clearml(folder):
    (path,) = folder.glob('clearml/offline/*/metrics.jsonl')
    found, pictures = defaultdict(list), []
    for line in path.read_text(encoding='utf-8').splitlines():
        for event in json.loads(line):
            if event['type'] == 'training_stats_scalar':
                found[event['metric']].append(event['iter'])
            else:
                pictures.append((event['metric'], event['iter']))
    assert found == steps(2)
    assert pictures == [('confusion/Held out', 4), ('confusion/Held out', 8)]
