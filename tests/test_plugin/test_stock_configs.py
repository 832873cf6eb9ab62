# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stock configs of other projects, trained with this project's hooks.

The first tests are each somebody else's project: a folder elsewhere, a config that
inherits an upstream one, and MMEngine's own Runner in a fresh process. Only data paths,
``init_cfg``, batch size and the number of epochs are overridden; hooks are added.

The others train ten of the sixty configs in ``stock_steps.py``, which trains them all.
"""

import gzip
import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_spots import write_spots
from python_process import run_python
from stock_steps import CONFIGS, DO_NOT_TRAIN, STEPS, experiment_of, train_steps

from hpml_mm.experiments.rows import read_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """
import json
from mmengine.config import Config
from mmengine.runner import Runner

cfg = Config.fromfile('config.py')
cfg.work_dir = 'work'
runner = Runner.from_cfg(cfg)
runner.train()

report = {type(hook).__name__: hook.summary() for hook in runner.hooks
          if type(hook).__module__.startswith('hpml_mm.') and hasattr(hook, 'summary')}
scalars = runner.message_hub.log_scalars
report['scalars'] = {key: scalars[key].current() for key in scalars}
report['iters'] = runner.iter
report['hooks'] = [type(hook).__name__ for hook in runner.hooks]
with open('report.json', 'w') as file:
    json.dump(report, file, default=float)
"""

HOOKS = """[
    dict(type='hpml_mm.ThroughputHook', warmup_iters=1, interval=2),
    dict(type='hpml_mm.DataLoadRatioHook', interval=2),
    dict(type='hpml_mm.AmpHook'),
    dict(type='hpml_mm.TorchProfilerHook', wait=1, warmup=1, active=1),
]
"""

CLASSIFIER = """
_base_ = 'mmpretrain::efficientnet/efficientnet-b0_8xb32_in1k.py'

train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
custom_hooks = {hooks}
"""

# mmpose.models looks for MMCV's compiled ops, so hpml_mm has to come before it.
POSE = """
_base_ = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py')
custom_imports = dict(imports=['hpml_mm'])

model = dict(backbone=dict(init_cfg=None))
train_dataloader = dict(
    batch_size={batch_size},
    dataset=dict(
        data_root='/', ann_file='{folder}/train.json',
        data_prefix=dict(img='{images[0]}/')))
val_dataloader = dict(
    batch_size={batch_size},
    dataset=dict(
        data_root='/', ann_file='{folder}/val.json',
        bbox_file='{folder}/boxes.json', data_prefix=dict(img='{images[1]}/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{folder}/val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
custom_hooks = _base_.custom_hooks + {hooks}
"""


@pytest.fixture
def train(tmp_path):
    """Train a config from a folder of its own; returns what train.py reports."""
    project = tmp_path / 'project'
    project.mkdir()
    (project / 'train.py').write_text(TRAIN)

    def train(config: str) -> dict:
        (project / 'config.py').write_text(config)
        env = os.environ | {'PYTHONPATH': str(ROOT)}
        result = run_python(['train.py'], project, env)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return json.loads((project / 'report.json').read_text())

    train.project = project
    return train


def check_hooks(report: dict, project: Path) -> None:
    """All four hooks did their work."""
    throughput = report['ThroughputHook']
    assert throughput['throughput(img/s)'] > 0
    assert throughput['step(GMACs)'] > 0
    wait = report['DataLoadRatioHook']
    assert 0 <= wait['data_wait(%)'] <= 100
    assert wait['data_wait/first_batch(s)'] > 0
    assert report['AmpHook']['precision'] in ('bf16', 'fp16')
    # They show where MMEngine shows its own numbers.
    assert report['scalars']['train/throughput(img/s)'] > 0
    assert math.isfinite(report['scalars']['train/loss'])
    (trace,) = (project / 'work').rglob('profile/*.trace.json.gz')
    with gzip.open(trace) as file:
        names = {event.get('name') for event in json.load(file)['traceEvents']}
    assert any('aten::' in str(name) and 'conv' in str(name) for name in names)


@pytest.fixture
def image_folder(tmp_path) -> Path:
    """ImageNet's layout with eight training and four validation images of noise."""
    rng = np.random.default_rng(0)
    root = tmp_path / 'imagenet'
    (root / 'meta').mkdir(parents=True)
    for split, count in (('train', 8), ('val', 4)):
        (root / split).mkdir()
        lines = []
        for index in range(count):
            image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f'{index}.png'), image)
            lines.append(f'{index}.png {index}\n')
        (root / 'meta' / f'{split}.txt').write_text(''.join(lines))
    return root


def pose_config(folder: Path, train: Path, val: Path, images: tuple, size: int) -> str:
    """Config for the first 32 objects of each of two files of COCO's form.

    The stock config also asks for a detector's boxes: these are the true ones.
    """
    folder.mkdir()
    for file, name in ((train, 'train'), (val, 'val')):
        coco = json.loads(file.read_text())
        coco['annotations'] = coco['annotations'][:32]
        shown = {person['image_id'] for person in coco['annotations']}
        coco['images'] = [image for image in coco['images'] if image['id'] in shown]
        (folder / f'{name}.json').write_text(json.dumps(coco))
    boxes = [
        {key: person[key] for key in ('image_id', 'category_id', 'bbox')} | {'score': 1}
        for person in coco['annotations']
    ]
    (folder / 'boxes.json').write_text(json.dumps(boxes))
    return POSE.format(folder=folder, images=images, batch_size=size, hooks=HOOKS)


@pytest.mark.system
def test_classifier_by_type_alone(train, image_folder):
    report = train(CLASSIFIER.format(root=image_folder, hooks=HOOKS))
    assert report['iters'] == 4
    assert 'val/accuracy/top1' in report['scalars']
    check_hooks(report, train.project)


@pytest.mark.system
def test_pose_by_custom_imports(train, tmp_path):
    root = write_spots(tmp_path / 'spots', [0, 2, 1, 9, 0, 3, 6, 1])
    file = root / 'spots.json'
    report = train(pose_config(tmp_path / 'some', file, file, (root, root), size=2))
    assert report['iters'] == 4
    assert 'val/coco/AP' in report['scalars']
    # A hook of the stock config, beside which the four were put.
    assert 'SyncBuffersHook' in report['hooks']
    check_hooks(report, train.project)


@pytest.mark.parametrize(
    'kind',
    [
        *('RTMPose-t', 'SimCC', 'regression, RLE'),
        *('ShuffleNet', 'DeiT, distilled', 'SimSiam'),
        *('RetinaNet', 'YOLOX', 'DETR'),
    ],
)
def test_two_steps_of_a_kind(kind, tmp_path):
    numbers = train_steps(CONFIGS[kind], tmp_path)
    assert numbers['trained(steps)'] == STEPS
    assert math.isfinite(numbers['loss'])
    assert numbers['step(GMACs)'] > 0
    assert numbers['throughput(img/s)'] > 0
    assert 0 <= numbers['data_wait(%)'] <= 100
    assert numbers['traces'] == 1


def test_committed_counts_name_each_config_that_does_not_train():
    rows = read_results(ROOT / 'results' / 'stock-configs.csv')
    steps = {
        row.experiment: row.value for row in rows if row.metric == 'trained(steps)'
    }
    assert len(CONFIGS) == 60
    assert steps == {
        experiment_of(name): 0 if kind in DO_NOT_TRAIN else STEPS
        for kind, name in CONFIGS.items()
    }
