# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy
import json
from io import BytesIO
from uuid import uuid4

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import EVALUATOR, METRICS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import Dataset
from toy_runs import ToyMetric

from hpml_mm.visualization.confusion import draw_confusion_matrix
from hpml_mm.visualization.hooks import ConfusionMatrixHook

CLASSES = ('Angry', 'Happy')
# (prediction, target, split) of each sample; the model answers what it is told.
SAMPLES = [(0, 0, 'val'), (1, 0, 'val'), (1, 1, 'val'), (0, 1, 'test')]


class Told(Dataset):
    metainfo = {'classes': CLASSES}

    def __len__(self):
        return len(SAMPLES)

    def __getitem__(self, index):
        prediction, target, split = SAMPLES[index]
        data_sample = DataSample().set_gt_label(target)
        data_sample.set_metainfo({'split': split})
        return {'inputs': torch.tensor(prediction), 'data_samples': data_sample}


class Parrot(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return {'loss': self.weight.square()}
        for prediction, data_sample in zip(inputs, data_samples, strict=True):
            data_sample.set_pred_label(int(prediction))
        return data_samples


class Scorer(Parrot):
    """Tells scores and no label."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return super().forward(inputs, data_samples, mode)
        for prediction, data_sample in zip(inputs, data_samples, strict=True):
            score = nn.functional.one_hot(prediction, len(CLASSES)).float()
            data_sample.set_pred_score(score)
        return data_samples


METRICS.register_module(name='OwnMetric', module=ToyMetric)


@EVALUATOR.register_module()
class HollowEvaluator:
    """Holds no metrics."""

    def __init__(self, metrics):
        self.dataset_meta = None

    def process(self, data_samples, data_batch=None):
        pass

    def evaluate(self, size):
        return {'size': size}


def build_runner(work_dir, metric='hpml_mm.FERMetric', model=Parrot, **hook):
    loader = {
        'dataset': Told(),
        'batch_size': 2,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    }
    metric = {'type': metric} if isinstance(metric, str) else metric
    return Runner(
        model(),
        str(work_dir),
        train_dataloader=copy.deepcopy(loader),
        val_dataloader=copy.deepcopy(loader),
        test_dataloader=copy.deepcopy(loader),
        train_cfg={'by_epoch': True, 'max_epochs': 5},
        val_cfg={},
        test_cfg={},
        val_evaluator=copy.deepcopy(metric),
        test_evaluator=copy.deepcopy(metric),
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        custom_hooks=[{'type': 'hpml_mm.ConfusionMatrixHook', **hook}],
        visualizer={
            'type': 'Visualizer',
            'vis_backends': [
                {'type': 'LocalVisBackend'},
                {'type': 'TensorboardVisBackend'},
            ],
        },
        experiment_name=f'confusion_{uuid4()}',
    )


def pictures(work_dir):
    """What TensorBoard's own reader finds: images by tag and step."""
    (events,) = work_dir.rglob('events.out.tfevents*')
    accumulator = EventAccumulator(str(events), size_guidance={'images': 0})
    accumulator.Reload()
    return {
        tag: {
            event.step: np.array(Image.open(BytesIO(event.encoded_image_string)))
            for event in accumulator.Images(tag)
        }
        for tag in accumulator.Tags()['images']
    }


def saved(work_dir):
    """What MMEngine's local backend has saved, by name."""
    folders = work_dir.glob('*/vis_data/vis_image')
    return {
        path.relative_to(folder).as_posix(): cv2.imread(str(path))[..., ::-1]
        for folder in folders
        for path in folder.rglob('*.png')
    }


def test_training_shows_each_split_in_tensorboard(tmp_path):
    build_runner(tmp_path, interval=2).train()
    found = pictures(tmp_path)
    assert set(found) == {
        'pictures/confusion/PublicTest',
        'pictures/confusion/PrivateTest',
        'pictures/by_class',
    }
    # Every second epoch of two iterations, and the last one.
    assert list(found['pictures/confusion/PublicTest']) == [4, 8, 10]
    expected = draw_confusion_matrix(
        np.array([[1, 1], [0, 1]]), CLASSES, 'PublicTest, epoch 5'
    )
    np.testing.assert_array_equal(found['pictures/confusion/PublicTest'][10], expected)
    kept = cv2.imread(str(tmp_path / 'confusion/PublicTest.png'))
    np.testing.assert_array_equal(kept[..., ::-1], expected)
    counts = json.loads((tmp_path / 'confusion/PublicTest.json').read_text())
    assert counts == {
        'split': 'PublicTest',
        'labels': list(CLASSES),
        'counts': [[1, 1], [0, 1]],
    }
    (local,) = tmp_path.glob('*/vis_data/vis_image/confusion/PublicTest_10.png')
    np.testing.assert_array_equal(cv2.imread(str(local)), kept)


def test_a_test_run_saves_it_and_is_no_run_of_tensorboard(tmp_path):
    build_runner(tmp_path).test()
    found = saved(tmp_path)
    assert set(found) == {
        'confusion_test/PublicTest_0.png',
        'confusion_test/PrivateTest_0.png',
    }
    expected = draw_confusion_matrix(np.array([[0, 0], [1, 0]]), CLASSES, 'PrivateTest')
    np.testing.assert_array_equal(found['confusion_test/PrivateTest_0.png'], expected)
    assert not list(tmp_path.rglob('*tfevents*'))
    (log,) = tmp_path.rglob('*.log')
    told = 'TensorboardVisBackend shows trainings, and nothing of this run'
    assert log.read_text().count(told) == 1
    assert (tmp_path / 'confusion_test/PrivateTest.png').is_file()


def test_a_split_of_any_name_stays_in_its_folder(tmp_path):
    metric = {'type': 'hpml_mm.FERMetric', 'split_names': {'val': '../Held out?'}}
    build_runner(tmp_path, metric).test()
    pictures = {path.relative_to(tmp_path) for path in tmp_path.rglob('*Held*.png')}
    (log_dir,) = {path.parts[0] for path in pictures} - {'confusion_test'}
    assert {path.as_posix() for path in pictures} == {
        'confusion_test/_/Held out.png',
        f'{log_dir}/vis_data/vis_image/confusion_test/_/Held out_0.png',
    }


@pytest.mark.parametrize(
    ('metric', 'model'),
    [
        ('mmpretrain.Accuracy', Parrot),
        ('mmpretrain.Accuracy', Scorer),
        (
            {'type': 'mmpretrain.SingleLabelMetric', 'num_classes': 2, 'prefix': 'p'},
            Parrot,
        ),
        ({'type': 'mmpretrain.ConfusionMatrix', 'num_classes': 2}, Scorer),
        ([{'type': 'mmpretrain.Accuracy'}, {'type': 'OwnMetric'}], Parrot),
        ({'type': 'HollowEvaluator', 'metrics': []}, Scorer),
    ],
)
def test_any_metric_will_do(tmp_path, metric, model):
    build_runner(tmp_path, metric, model).test()
    found = saved(tmp_path)
    # The splits by the names that the samples give.
    assert set(found) == {'confusion_test/val_0.png', 'confusion_test/test_0.png'}
    expected = draw_confusion_matrix(np.array([[1, 1], [0, 1]]), CLASSES, 'val')
    np.testing.assert_array_equal(found['confusion_test/val_0.png'], expected)


def test_each_validation_is_counted_anew(tmp_path):
    build_runner(tmp_path, 'mmpretrain.Accuracy', interval=2).train()
    found = pictures(tmp_path)['pictures/confusion/test']
    assert list(found) == [4, 8, 10]
    expected = draw_confusion_matrix(
        np.array([[0, 0], [1, 0]]), CLASSES, 'test, epoch 5'
    )
    np.testing.assert_array_equal(found[10], expected)


def test_trainings_by_iterations_have_a_picture_for_each_validation(tmp_path):
    runner = build_runner(tmp_path, 'mmpretrain.Accuracy')
    loop = {'by_epoch': False, 'max_iters': 4, 'val_interval': 2}
    runner._train_loop = runner.build_train_loop(loop)
    runner.train()
    assert list(pictures(tmp_path)['pictures/confusion/val']) == [2, 4]


@pytest.mark.parametrize('mode', ['train', 'test'])
@pytest.mark.parametrize(
    'metric', ['mmpretrain.MultiLabelMetric', 'mmpretrain.VOCAveragePrecision']
)
def test_metrics_of_several_classes_a_sample_are_refused(tmp_path, mode, metric):
    runner = build_runner(tmp_path, metric)
    name = metric.removeprefix('mmpretrain.')
    with pytest.raises(ValueError, match=f'{name} is of several classes a sample'):
        getattr(runner, mode)()
    assert runner.iter == 0


def test_samples_without_one_class_stop_nothing(tmp_path):
    class Nothing(Parrot):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            if mode == 'loss':
                return super().forward(inputs, data_samples, mode)
            return [{'keypoints': 3} for _ in inputs]

    runner = build_runner(tmp_path, {'type': 'HollowEvaluator', 'metrics': []}, Nothing)
    runner.train()
    assert runner.iter == 10
    assert not (tmp_path / 'confusion').exists()
    log = next(tmp_path.glob('*/*.log')).read_text()
    line = (
        'ConfusionMatrixHook draws nothing: a sample holds keypoints, but no gt_label'
    )
    assert log.count(line) == 1


def test_an_impossible_interval_is_named():
    with pytest.raises(ValueError, match='interval must be at least 1, got 0'):
        ConfusionMatrixHook(interval=0)
