# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A metric that no part of the validation gives is refused where that can be known."""

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import EVALUATOR, METRICS, DefaultScope
from toy_tools import toy_config

import hpml_mm.evaluation  # noqa: F401
from hpml_mm.config.check import check_config
from hpml_mm.config.metric_names import given_names

ACCURACY = dict(type='mmpretrain.Accuracy', topk=(1, 5))
SINGLE = dict(type='mmpretrain.SingleLabelMetric')
CHECKPOINT = dict(type='CheckpointHook')


@METRICS.register_module()
class NamesItsOwn(BaseMetric):
    """Metric with an evaluation of its own."""

    default_prefix = 'own'

    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}

    def evaluate(self, size):
        return {'any': 1}


@EVALUATOR.register_module()
class NamingEvaluator(Evaluator):
    """Evaluator that may change the names."""


@pytest.mark.parametrize(
    ('evaluator', 'names'),
    [
        (ACCURACY, ['accuracy/top1', 'accuracy/top5']),
        (dict(ACCURACY, topk=3), ['accuracy/top3']),
        (dict(ACCURACY, prefix='seen'), ['seen/top1', 'seen/top5']),
        (dict(ACCURACY, thrs=(0.1, 0.5)), ['accuracy/*']),
        ([ACCURACY, SINGLE], ['accuracy/top1', 'accuracy/top5', 'single-label/*']),
        (dict(metrics=ACCURACY), ['accuracy/top1', 'accuracy/top5']),
        (dict(type='Evaluator', metrics=[SINGLE]), ['single-label/*']),
        (dict(type='mmpose.CocoMetric'), ['coco/*']),
        (dict(type='mmpose.CocoMetric', prefix='crowdpose'), ['crowdpose/*']),
        (dict(type='hpml_mm.KeypointPCK'), ['PCK@*']),
        ([dict(type='mmpose.PCKAccuracy'), ACCURACY], None),  # has no prefix
        (dict(type='ToyAccuracy'), None),
        (dict(type='NamesItsOwn'), None),
        (dict(type='NamingEvaluator', metrics=[ACCURACY]), None),
        (None, None),
    ],
)
def test_the_names_that_are_known_before(tmp_path, evaluator, names):
    cfg = toy_config(tmp_path, val_evaluator=evaluator)
    with DefaultScope.overwrite_default_scope('mmengine'):
        assert given_names(cfg) == names
        cfg.val_cfg = None  # no validation, no names
        assert given_names(cfg) is None


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            dict(custom_hooks=[dict(CHECKPOINT, save_best='accuracy/top2')]),
            r"custom_hooks\.0\.save_best is 'accuracy/top2': val_evaluator gives "
            r"accuracy/top1, accuracy/top5; did you mean 'accuracy/top[15]'",
        ),
        (
            dict(custom_hooks=[dict(CHECKPOINT, save_best=['accuracy/top1', 'top5'])]),
            "save_best is 'top5'",
        ),
        (
            dict(default_hooks=dict(checkpoint=dict(save_best='coco/AP'))),
            "default_hooks.checkpoint.save_best is 'coco/AP'",
        ),
        (
            dict(custom_hooks=[dict(type='EarlyStoppingHook', monitor='val_acc')]),
            "monitor is 'val_acc'",
        ),
        (
            dict(param_scheduler=[dict(type='ReduceOnPlateauLR')]),
            r"param_scheduler\.0\.monitor is 'loss'",
        ),
    ],
)
def test_a_metric_that_does_not_come_is_refused(tmp_path, settings, message):
    cfg = toy_config(tmp_path, val_evaluator=ACCURACY, **settings)
    with pytest.raises(ValueError, match=message):
        check_config(cfg)


@pytest.mark.parametrize('name', ['accuracy/top1', 'recall/happy', 'ck+/accuracy/top1'])
def test_a_metric_that_may_come_passes(name):
    hooks = dict(checkpoint=dict(save_best=name, rule='greater'))
    cfg = dict(
        val_cfg={}, val_evaluator=dict(type='hpml_mm.FERMetric'), default_hooks=hooks
    )
    check_config(Config(cfg))
    cfg['default_hooks']['checkpoint']['save_best'] = 'accuracy'
    with pytest.raises(ValueError, match="did you mean 'accuracy/top1'"):
        check_config(Config(cfg))
