# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs for animals: their parts, and trainings of two steps."""

import json
import uuid

import hpml_mm  # noqa: F401  # isort: skip
import pytest
import torch
from leaf_content import kind
from leaf_names import parse_leaf_name
from leaves import ANIMAL_LEAVES, CONFIGS, load
from made_animals import write_animals
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from hpml_mm.runner import build_runner

# Leaf -> the metric of its best checkpoint, and the largest that it can be.
SCORES = {
    'mobilenet-v2': ('accuracy/top1', 100),
    'td-hm': ('coco/AP', 1),
    'retinanet': ('coco/bbox_mAP', 1),
    'mask-rcnn': ('coco/segm_mAP', 1),
    'semantic-fpn': ('mIoU', 100),
    'panoptic-fpn': ('coco_panoptic/PQ', 100),
}
LEAVES = {leaf.split('/')[1].split('_')[0]: leaf for leaf in ANIMAL_LEAVES}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def test_there_is_a_leaf_for_each_of_six_tasks():
    assert LEAVES.keys() == SCORES.keys()
    for task, leaf in LEAVES.items():
        best = load(leaf).default_hooks.checkpoint.save_best
        assert best == SCORES[task][0], leaf


def test_all_tasks_are_of_the_same_images():
    for leaf in ANIMAL_LEAVES:
        cfg = load(leaf)
        for mode in ('train', 'val'):
            data = cfg[f'{mode}_dataloader'].dataset
            assert data.data_root.endswith('/voc_animals'), leaf
            assert data.ann_file.endswith(f'_{mode}.json'), leaf
        assert cfg.val_dataloader == cfg.test_dataloader, leaf
        assert not cfg.val_dataloader.sampler.shuffle, leaf
        assert cfg.val_evaluator == cfg.test_evaluator, leaf


def test_another_backbone_needs_a_list_of_channels_and_four_strides():
    """The same two keys in each config with a pyramid."""
    init_default_scope('mmdet')
    networks = {}
    for leaf in ANIMAL_LEAVES:
        model = load(leaf).model.to_dict()
        if 'neck' not in model or model['neck']['type'] != 'FPN':
            continue
        settings = {**model['backbone'], 'init_cfg': None}
        case = str(settings)
        networks[case] = networks.get(case) or MODELS.build(settings)
        maps = networks[case](torch.zeros(2, 3, 64, 64))
        assert [each.shape[1] for each in maps] == model['neck']['in_channels'], leaf
        assert [64 // each.shape[2] for each in maps] == [4, 8, 16, 32], leaf
    assert len(networks) == 1


def short(leaf, root, work):
    """The config of a leaf, with two steps of two samples and two validated."""
    cfg = Config(load(leaf).to_dict(), filename=str(CONFIGS / leaf))
    text = cfg.pretty_text.replace(f'{old_root(leaf)}/voc_animals', f'{root}')
    cfg = Config.fromstring(text, '.py')
    cfg.work_dir = str(work)
    cfg.experiment_name = uuid.uuid4().hex
    cfg.visualizer.vis_backends = []
    cfg.train_cfg.max_epochs = 1
    cfg.model.backbone.init_cfg = None
    for name in LOADERS:
        cfg[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg[name].dataset.indices = 4 if name == 'train_dataloader' else 2
    (hook,) = (h for h in cfg.custom_hooks if kind(h) == 'ThroughputHook')
    hook.update(warmup_iters=1, interval=1)
    return cfg


def old_root(leaf):
    return load(leaf).train_dataloader.dataset.data_root.rpartition('/')[0]


def train(leaf, root, work):
    cfg = short(leaf, root, work)
    torch.manual_seed(0)
    build_runner(cfg).train()
    return json.loads((work / 'summary.json').read_text())


def check(summary, task):
    metric, most = SCORES[task]
    assert (summary['status'], summary['train']['iters']) == ('finished', 2)
    assert 0 <= summary['metrics'][metric] <= most
    assert summary['best'][metric] == summary['metrics'][metric]
    measured = summary['measurements']
    assert measured['throughput(img/s)'] > 0
    assert measured['throughput/reason'] is None
    assert measured['image(GMACs)'] > 0
    assert measured['channels_last(%)'] == 100
    assert 0 <= measured['data_wait(%)'] <= 100


@pytest.mark.slow
@pytest.mark.parametrize('task', LEAVES)
def test_two_steps_on_made_files(task, tmp_path):
    root = write_animals(tmp_path / 'data', ('dog', 'cow', 'horse', 'cat'))
    check(train(LEAVES[task], root, tmp_path / 'work'), task)


# The documents' commands train the others on real files.
@pytest.mark.system
@pytest.mark.real_data
@pytest.mark.parametrize('task', ['td-hm', 'mask-rcnn'])
def test_two_steps_on_real_files(task, tmp_path, real_data):
    root = real_data / 'voc_animals'
    check(train(LEAVES[task], root, tmp_path / 'work'), task)


@pytest.mark.slow
def test_batches_have_the_size_in_the_name(tmp_path):
    root = write_animals(tmp_path, ('dog', 'sheep'))
    for leaf in ANIMAL_LEAVES:
        cfg, size = short(leaf, root, tmp_path / 'work'), parse_leaf_name(leaf).size
        init_default_scope(cfg.default_scope)
        data = DATASETS.build(cfg.train_dataloader.dataset)
        settings = cfg.model.get('data_preprocessor') or {'type': 'ClsDataPreprocessor'}
        batch = pseudo_collate([data[0], data[1]])
        made = MODELS.build(settings)(batch, training=True)['inputs']
        assert made.shape == (2, 3, *size), leaf
