# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A classifier is tested on an image and its mirror image."""

from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS, init_default_scope

from hpml_mm.config.run import configure_test
from hpml_mm.engine.weights import load_fitting
from hpml_mm.runner import build_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
(DEMO,) = (CONFIGS / 'demo').glob('*.py')
POSE = CONFIGS / 'cat_pose' / 'e00_td-hm_res50_1xb64-20e_cats-128x128.py'


@METRICS.register_module()
class KeptScores(BaseMetric):
    """Keeps what a test predicts."""

    def process(self, data_batch, data_samples):
        self.results += [s['pred_score'] for s in data_samples]

    def compute_metrics(self, results):
        KeptScores.scores = torch.stack(results)
        return {}


def evaluated(tmp_path, weights, tta):
    options = {
        'test_dataloader.dataset.num_per_class': 2,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    }
    cfg = configure_test(
        str(DEMO), str(weights), options, tta=tta, work_dir=str(tmp_path / 'work')
    )
    cfg.test_evaluator = dict(type='KeptScores')
    cfg.experiment_name = f'{tmp_path.name}-{tta}'
    cfg.custom_hooks = [h for h in cfg.custom_hooks if 'hpml_mm' not in h['type']]
    runner = build_runner(cfg)
    load_fitting(runner.model, str(weights))
    runner.test()
    return runner, KeptScores.scores


def test_the_score_is_the_mean_of_both_views(tmp_path):
    init_default_scope('mmpretrain')
    cfg = configure_test(str(DEMO), str(DEMO), {})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')

    _, single = evaluated(tmp_path, tmp_path / 'weights.pth', tta=False)
    runner, mean = evaluated(tmp_path, tmp_path / 'weights.pth', tta=True)

    model = runner.model.module.eval()
    mirrored = []
    for views in runner.test_dataloader:
        faces = views['inputs'][0].flip(-1)
        batch = {'inputs': faces, 'data_samples': views['data_samples'][0]}
        mirrored += [s.pred_score for s in model.test_step(batch)]
    torch.testing.assert_close(mean, (single + torch.stack(mirrored)) / 2)
    assert (mean - single).abs().max() > 1e-4


def test_a_config_of_its_own_views_keeps_them(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = '{DEMO}'\n"
        "tta_model = dict(type='AverageClsScoreTTA')\n"
        "tta_pipeline = [dict(type='PackInputs')]\n"
    )
    cfg = configure_test(str(child), str(DEMO), {}, tta=True)
    assert cfg.test_dataloader.dataset.pipeline == [dict(type='PackInputs')]
    assert cfg.work_dir.endswith('test_tta')


def test_half_of_its_own_views_is_refused(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = '{DEMO}'\ntta_pipeline = [dict(type='PackInputs')]\n")
    with pytest.raises(ValueError, match='has tta_pipeline and not the other'):
        configure_test(str(child), str(DEMO), {}, tta=True)


def test_a_pose_is_told_of_its_own_way():
    with pytest.raises(ValueError, match='--tta: .*model.test_cfg.flip_test=True'):
        configure_test(str(POSE), str(POSE), {}, tta=True)


def test_an_array_of_faces_has_no_views():
    leaf = next((CONFIGS / 'fer').glob('mini-xception_*-array-24e_*.py'))
    with pytest.raises(ValueError, match='FaceArrayDataset, which has no pipeline'):
        configure_test(str(leaf), str(leaf), {}, tta=True)
