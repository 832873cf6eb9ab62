# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What the clients of MLflow, W&B and ClearML keep of a training, without a server."""

import json
import os
import struct
from collections import defaultdict
from pathlib import Path

import pytest
from python_process import run_python
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# Names of a user's classes and keypoints, and of MMPose's own metrics.
TRAIN = """
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
    dict(type='MLflowVisBackend', tracking_uri='file:mlruns', artifact_suffix=()),
    dict(type='WandbVisBackend'),
    dict(type='ClearMLVisBackend', init_kwargs=clearml, artifact_suffix=()),
]
runner = toy_runner(
    'work',
    [dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=2), Pictures()],
    **for_validation() | dict(val_evaluator=Evaluator(Scores())),
    cfg=Config(dict(work_dir='work')),
    train_cfg=dict(by_epoch=True, max_epochs=2),
    default_hooks=dict(checkpoint=None, logger=dict(type='LoggerHook', interval=2)),
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
STEPS = {
    **dict.fromkeys(TRAINED, [2, 4, 6, 8]),
    **dict.fromkeys(VALIDATED, [4, 8]),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where a training with all trackers at once has left its files."""
    folder = tmp_path_factory.mktemp('trackers')
    (folder / 'train.py').write_text(TRAIN, encoding='utf-8')
    env = {
        'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}:{ROOT / "tests/test_hooks"}',
        'HOME': str(folder),
        'MLFLOW_ALLOW_FILE_STORE': 'true',  # MLflow 3 asks for a database else
        'MLFLOW_DISABLE_TELEMETRY': 'true',
        'WANDB_MODE': 'offline',
        'WANDB_ERROR_REPORTING': 'false',
        'CLEARML_OFFLINE_MODE': '1',
        'CLEARML_CACHE_DIR': str(folder / 'clearml'),
    }
    result = run_python(['train.py'], folder, os.environ | env)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder


def test_tensorboard(folder):
    (events,) = folder.rglob('events.out.tfevents*')
    board = EventAccumulator(str(events)).Reload()
    tags = board.Tags()
    found = {tag: [e.step for e in board.Scalars(tag)] for tag in tags['scalars']}
    assert found == STEPS
    assert tags['images'] == ['confusion/Held out']


def test_local_files(folder):
    pictures = sorted(folder.glob('work/*/vis_data/vis_image/confusion/*.png'))
    assert [path.name for path in pictures] == ['Held out_4.png', 'Held out_8.png']


def test_mlflow(folder):
    (run,) = folder.glob('mlruns/*/*/metrics')
    # A line holds time, value and step.
    found = {
        path.relative_to(run).as_posix(): [
            int(line.split()[2]) for line in path.read_text().splitlines()
        ]
        for path in run.rglob('*')
        if path.is_file()
    }
    assert found == STEPS
    pictures = sorted(run.parent.glob('artifacts/confusion/*.png'))
    assert [path.name for path in pictures] == ['Held out_4.png', 'Held out_8.png']


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
    (path,) = folder.rglob('offline-run-*/*.wandb')
    records = list(wandb_records(path))
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
    assert found['confusion/Held out/path'] == [4, 8]
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
    assert found == STEPS
    assert pictures == [('confusion/Held out', 4), ('confusion/Held out', 8)]
