# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is timed is built as training builds it, without what takes no part in it."""

import json
import sys
import uuid
from dataclasses import replace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.utils.data import DataLoader
from toy_tools import DATA, ROOT, TOY

from hpml_mm.benchmark import profiles
from hpml_mm.benchmark.jobs import Job, Side
from hpml_mm.benchmark.loop_overhead import open_loop, toy_runner
from hpml_mm.benchmark.workload import job_config, open_config, open_pipeline
from hpml_mm.config.overrides import load_config

pytestmark = pytest.mark.slow

PRETRAINED = ROOT / 'configs/fer/efficientnet-b0_1xb16-pretrained-30e_fer2013-224px.py'
REMEMBER = "custom_hooks = [dict(type='RememberRunnerHook')]"


@HOOKS.register_module()
class RememberRunnerHook(Hook):
    """Keeps the runner of the last run."""

    runner = None

    def before_run(self, runner):
        type(self).runner = runner


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A job for the toy config; ``lines`` are added to it."""
    monkeypatch.syspath_prepend(str(DATA))
    monkeypatch.setattr(sys, 'argv', ['test'])
    monkeypatch.setattr(profiles, '_SECONDS', 0.0)
    monkeypatch.setattr(profiles, '_LOOP_ITERATIONS', 20)

    def job(mode, lines='', kind='config', **settings):
        path = tmp_path / 'leaf.py'
        # Two runners of one name would share their logs.
        name = f'experiment_name = {uuid.uuid4().hex!r}'
        path.write_text(f"_base_ = '{TOY}'\n{name}\n{lines}\n")
        return Job(mode, Side('toy', kind, str(path)), str(tmp_path / 'w'), **settings)

    return job


def rounds(open_job, job, iterations=3):
    """A lap of a job's session, and what its profile says."""
    found = []

    def serve(session):
        found.append((session, session.run(iterations), session.profile(session)))

    open_job(job, serve)
    (result,) = found
    return result


def test_a_step_trains_as_the_hooks_have_set_it_up(toy):
    hooks = (
        "custom_hooks = [dict(type='hpml_mm.AmpHook', dtype='bfloat16'), "
        "dict(type='RememberRunnerHook')]"
    )
    same = []

    def serve(session):
        model = RememberRunnerHook.runner.model
        before = model.out.weight.clone()
        lap, profile = session.run(3), session.profile(session)
        same.append(torch.equal(before, model.out.weight))
        assert (lap.iterations, lap.images) == (3, 12)
        assert 'aten::addmm' in profile
        assert 'aten::_to_copy' in profile  # to bfloat16
        assert not session.each

    open_config(toy('train', hooks), serve)
    assert same == [False]


def test_a_step_is_timed_with_the_layers_that_the_first_batch_decides_on(
    toy, tmp_path, monkeypatch
):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    amp = "dict(type='hpml_mm.AmpHook', layers='measured')"
    # This one counts the operations of a first step, until that ends.
    counting = "dict(type='hpml_mm.ThroughputHook')"
    hooks = f"custom_hooks = [dict(type='RememberRunnerHook'), {counting}, {amp}]"
    rounds(open_config, toy('train', hooks))
    assert 'train_step' not in vars(RememberRunnerHook.runner.model)
    (file,) = (tmp_path / 'hpml_mm/precision').iterdir()
    plan = RememberRunnerHook.runner.message_hub.get_info('amp/plan')
    assert plan == json.loads(file.read_text())


def test_the_loop_goes_on_over_the_ends_of_epochs(toy):
    """24 points in batches of 4: six iterations an epoch."""
    epochs = []

    def serve(session):
        assert session.run(13).images == 13 * 4
        epochs.append(RememberRunnerHook.runner.epoch)

    open_config(toy('train', REMEMBER, loop=True), serve)
    assert epochs == [2]


def test_the_input_is_made_ready_for_the_model(toy):
    _, lap, profile = rounds(open_config, toy('data', batch_size=8, workers=0))
    assert (lap.iterations, lap.images) == (3, 24)
    assert 'prepare for the model' in profile


def lists_of_two(cfg, batch_size, workers):
    """Another project's pipeline: batches of (images, labels)."""
    assert cfg.model.type == 'ToyClassifier'
    pairs = [(torch.ones(3), label) for label in range(8)]
    return DataLoader(pairs, batch_size=batch_size or 2, num_workers=workers or 0)


def test_the_input_of_another_project_is_timed_up_to_the_device(toy):
    job = toy('data', kind=f'{__name__}:lists_of_two', batch_size=4)
    session, lap, profile = rounds(open_pipeline, job)
    assert (lap.iterations, lap.images) == (3, 12)
    assert session.rewarm == 1
    assert 'prepare for the model' in profile


@pytest.mark.parametrize('kind', ['no_such_module:f', f'{__name__}:no_such_function'])
def test_a_wrong_function_is_named_with_the_form_to_write(toy, kind):
    with pytest.raises(ValueError, match=f'--against {kind}: .*MODULE:FUNCTION'):
        open_pipeline(toy('data', kind=kind), print)


@pytest.mark.parametrize(('has_test', 'size'), [(True, 2), (False, None)])
def test_predictions_are_timed_one_by_one(toy, has_test, size):
    """Validation stands in for a test part."""
    lines = 'test_dataloader = None\ntest_cfg = None\ntest_evaluator = None'
    job = toy('infer', '' if has_test else lines, batch_size=size)
    session, lap, _ = rounds(open_config, job)
    assert session.each
    assert (lap.images, len(lap.latencies)) == (3 * (size or 8), 3)


def test_what_says_nothing_about_speed_goes(toy):
    cfg = job_config(toy('train', "load_from = 'x.pth'", batch_size=3, workers=2))
    assert (cfg.load_from, cfg.resume) == (None, False)
    assert cfg.val_dataloader is cfg.test_dataloader is cfg.val_cfg is None
    assert cfg.default_hooks.checkpoint is None
    assert cfg.train_dataloader.batch_size == 3
    # The few batches of a step are made before; only a loader that is timed works.
    assert cfg.train_dataloader.num_workers == 0
    assert job_config(toy('data', workers=2)).train_dataloader.num_workers == 2


def test_no_weights_are_loaded(tmp_path):
    job = Job('train', Side('x', 'config', str(PRETRAINED)), str(tmp_path))
    assert load_config(str(PRETRAINED)).model.backbone.init_cfg.type == 'Pretrained'
    assert job_config(job).model.backbone.init_cfg is None


def test_stock_mmengine_has_none_of_our_hooks_and_its_input_must_be_another(toy):
    assert job_config(toy('train')).custom_hooks
    assert job_config(toy('train', kind='stock')).custom_hooks == []
    job = toy('data', kind='stock')
    with pytest.raises(ValueError, match='nothing to compare'):
        job_config(job)
    assert job_config(replace(job, side=replace(job.side, elsewhere=True)))


def test_a_config_that_cannot_be_trained_is_refused(toy):
    lines = 'train_dataloader = None\ntrain_cfg = None\noptim_wrapper = None'
    with pytest.raises(ValueError, match='no train_dataloader to benchmark'):
        job_config(toy('train', lines + '\nparam_scheduler = None'))


@pytest.mark.parametrize('kind', ['config', 'stock', 'none', 'plain'])
def test_the_engine_runs_a_toy_model(toy, kind):
    session, lap, profile = rounds(open_loop, toy('engine', kind=kind))
    assert lap.iterations == 3
    assert ('ThroughputHook' in profile) is (kind == 'config')
    assert ('RuntimeInfoHook' in profile) is (kind in ('config', 'stock'))


def test_hooks_of_the_model_take_no_part_in_the_engine(toy):
    lines = (
        "custom_hooks = [dict(type='hpml_mm.AmpHook'), "
        "dict(type='hpml_mm.SpeedHook'), dict(type='EMAHook')]"
    )
    names = {type(hook).__name__ for hook in toy_runner(toy('engine', lines)).hooks}
    assert 'EMAHook' in names
    assert not names & {'AmpHook', 'SpeedHook'}
