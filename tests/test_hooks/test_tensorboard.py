# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of TensorBoard: their places, and what each of them holds."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import (
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
    parse_session_start_info_plugin_data,
)
from tensorboard_runs import build, train

from hpml_mm.engine.trackers.tensorboard import event_folder

pytestmark = pytest.mark.slow


def events(folder) -> list[str]:
    """Folders with events below a folder."""
    found = {path.parent for path in folder.rglob('*tfevents*')}
    return sorted(path.relative_to(folder).as_posix() for path in found)


def board(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={'tensors': 0}).Reload()


def steps(folder, tag='train/loss') -> list[int]:
    return [event.step for event in board(folder).Scalars(tag)]


def settings(folder) -> dict:
    found = board(folder).SummaryMetadata(SESSION_START_INFO_TAG)
    hparams = parse_session_start_info_plugin_data(found.plugin_data.content).hparams
    return {name: value.ListFields()[0][1] for name, value in hparams.items()}


def test_a_training_is_the_run_of_its_work_dir(tmp_path):
    train(tmp_path / 'one')
    assert events(tmp_path) == ['one']
    tags = board(tmp_path / 'one').Tags()
    assert {tag.split('/')[0] for tag in tags['scalars']} == {'main', 'train', 'val'}
    assert not [tag for tag in tags['scalars'] if 'recall' in tag]
    assert tags['images'] == ['pictures/by_class']
    assert SESSION_END_INFO_TAG in board(tmp_path / 'one').PluginTagToContent('hparams')


def test_its_settings_are_those_that_ran(tmp_path):
    train(tmp_path / 'one', lr=0.25)
    found = settings(tmp_path / 'one')
    assert (
        found.items()
        >= {
            **{'lr': 0.25, 'optimizer': 'SGD', 'batch_size': 4, 'workers': 0},
            **{'precision': 'fp32', 'seed': 0, 'epochs': 2, 'processes': 1},
            'model': 'ToyNet',
        }.items()
    )
    assert 'optim_wrapper.optimizer.lr' not in found


def test_a_second_start_is_told_apart(tmp_path):
    for _ in range(3):
        train(tmp_path / 'one')
    assert events(tmp_path) == ['one', 'one/start2', 'one/start3']


def test_a_resumed_training_takes_the_place_of_what_was_lost(tmp_path):
    """It goes on after epoch 1 of 2; the events of epoch 2 are those of the dead."""
    train(tmp_path / 'one')
    train(tmp_path / 'one')
    loop = {'by_epoch': True, 'max_epochs': 3}
    again = {'resume': True, 'load_from': str(tmp_path / 'one' / 'epoch_1.pth')}
    train(tmp_path / 'one', lr=0.1, train_cfg=loop, **again)
    assert events(tmp_path) == ['one', 'one/start2']
    assert steps(tmp_path / 'one' / 'start2') == [2, 4, 6, 8, 10, 12]
    assert steps(tmp_path / 'one' / 'start2', 'main/accuracy/top1') == [4, 8, 12]
    assert steps(tmp_path / 'one') == [2, 4, 6, 8]


def test_a_start_that_fails_is_no_run(tmp_path):
    with pytest.raises(RuntimeError, match='toy failure'):
        train(tmp_path / 'one', fail_at=1)
    assert events(tmp_path) == []


def test_a_training_that_fails_later_is_not_called_a_success(tmp_path):
    with pytest.raises(RuntimeError, match='toy failure'):
        train(tmp_path / 'one', fail_at=5)
    assert events(tmp_path) == ['one']
    assert [*board(tmp_path / 'one').PluginTagToContent('hparams')] == [
        SESSION_START_INFO_TAG
    ]


def test_a_model_that_cannot_be_built_is_no_run(tmp_path):
    @MODELS.register_module(name='CannotBeBuilt', force=True)
    def fail():
        raise RuntimeError('no such layer')

    backends = [{'type': 'TensorboardVisBackend'}, {'type': 'LocalVisBackend'}]
    visualizer = {'type': 'Visualizer', 'vis_backends': backends}
    cfg = Config(
        {'model': {'type': 'CannotBeBuilt'}, 'work_dir': str(tmp_path)}
        | {'visualizer': visualizer}
    )
    with pytest.raises(RuntimeError, match='no such layer'):
        Runner.from_cfg(cfg)
    assert events(tmp_path) == []
    assert list(tmp_path.glob('*/vis_data/config.py'))


@pytest.mark.parametrize('more', [False, True])
def test_what_began_before_this_package_was_imported_goes_unless_it_tells_more(
    tmp_path, more
):
    runner = build(tmp_path / 'one')
    (backend,) = runner.visualizer._vis_backends.values()
    del backend._init_env  # as if nothing had been mended
    backend.add_config(runner.cfg)
    if more:
        backend.add_scalar('mine', 1.0)
    assert len(events(tmp_path)) == 1
    runner.train()
    assert events(tmp_path)[0] == 'one'
    assert len(events(tmp_path)) == 1 + more
    assert 'config/text_summary' in board(tmp_path / 'one').Tags()['tensors']


def test_a_folder_of_the_users_choice_stays(tmp_path):
    backend = {'type': 'TensorboardVisBackend', 'save_dir': str(tmp_path / 'mine')}
    train(
        tmp_path / 'one', visualizer={'type': 'Visualizer', 'vis_backends': [backend]}
    )
    assert events(tmp_path) == ['mine']


def test_a_missing_client_is_told_at_the_start(monkeypatch):
    monkeypatch.setattr('hpml_mm.compat.mends.visualizer.find_spec', lambda name: None)
    visualizer = Visualizer(vis_backends=[{'type': 'WandbVisBackend'}], save_dir='x')
    with pytest.raises(ImportError, match='WandbVisBackend needs wandb: pip install'):
        visualizer.add_config(Config())


def test_a_foreign_file_is_no_run(tmp_path):
    (tmp_path / 'start2').mkdir()
    (tmp_path / 'start2' / 'notes.txt').touch()
    assert event_folder(tmp_path, resumed=True) == tmp_path
    (tmp_path / 'events.out.tfevents.1.host.2.0').touch()
    assert event_folder(tmp_path, resumed=True) == tmp_path
    assert event_folder(tmp_path, resumed=False) == tmp_path / 'start2'
