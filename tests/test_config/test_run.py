# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import argparse
import io
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image
from toy_tools import TOY, toy_config

from hpml_mm.config.arguments import add_config_arguments
from hpml_mm.config.command.errors import USER_ERROR, clear_errors, is_user_error
from hpml_mm.config.command.words import command_to_resume
from hpml_mm.config.run import add_amp, configure_test, configure_training
from hpml_mm.datasets.image_io import BrokenImageError
from hpml_mm.utils.messages import shortened

CONFIG = str(TOY)
BATCH = {'train_dataloader.batch_size': 8}


@pytest.fixture(autouse=True)
def toy_parts(tmp_path, monkeypatch):
    """Work dirs below a folder that goes, and the toy parts importable."""
    toy_config(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_the_plain_run_has_the_plain_directory():
    cfg = configure_training(CONFIG, {})
    assert cfg.work_dir == 'work_dirs/toy_2e'
    assert not cfg.get('resume')


@pytest.mark.parametrize(
    'changes',
    [{'options': BATCH}, {'options': {}, 'amp': True}, {'options': {}, 'seed': 5}],
)
def test_an_override_has_another_directory(changes):
    cfg = configure_training(CONFIG, **changes)
    assert cfg.work_dir.startswith('work_dirs/toy_2e--')


@pytest.mark.parametrize(
    ('base', 'processes', 'name'),
    [
        (None, '1', 'toy'),
        (None, '2', 'toy--processes=2'),
        (4, '2', 'toy--processes=2'),
        (8, '2', 'toy'),
        (8, '1', 'toy'),
        (8, '4', 'toy--processes=4'),
        (6, '1', 'toy'),  # no whole number of batches of 4
        (6, '2', 'toy--processes=2'),
    ],
)
def test_another_number_of_processes_has_another_directory(
    tmp_path, monkeypatch, base, processes, name
):
    monkeypatch.setenv('WORLD_SIZE', processes)
    scale = f'auto_scale_lr = dict(base_batch_size={base})' if base else ''
    (tmp_path / 'toy.py').write_text(f"_base_ = '{TOY}'\n{scale}\n")
    assert configure_training('toy.py', {}).work_dir == f'work_dirs/{name}'


def test_an_override_of_the_batch_size_is_no_other_number_of_processes(tmp_path):
    text = f"_base_ = '{TOY}'\nauto_scale_lr = dict(base_batch_size=4)\n"
    (tmp_path / 'toy.py').write_text(text)
    place = configure_training('toy.py', {'train_dataloader.batch_size': 2}).work_dir
    assert place.startswith('work_dirs/toy--batch_size=2-')


def test_what_equals_the_config_is_no_override():
    options = {'train_dataloader.batch_size': 4}
    cfg = configure_training(CONFIG, options, seed=0)
    assert cfg.work_dir == 'work_dirs/toy_2e'


def test_the_seed_is_set():
    assert configure_training(CONFIG, {}, seed=5).randomness.seed == 5


def test_amp_is_added_once():
    cfg = configure_training(CONFIG, {}, amp=True)
    kinds = [hook.type for hook in cfg.custom_hooks]
    assert kinds.count('hpml_mm.AmpHook') == 1
    assert not add_amp(cfg)[1]


def test_an_option_and_a_flag_do_not_both_name_the_directory():
    cfg = configure_training(CONFIG, {'work_dir': 'mine'})
    assert cfg.work_dir == 'mine'
    with pytest.raises(ValueError, match='give one'):
        configure_training(CONFIG, {'work_dir': 'mine'}, work_dir='yours')


def test_a_new_run_refuses_the_directory_of_an_earlier_one(tmp_path):
    place = tmp_path / 'work_dirs' / 'toy_2e'
    place.mkdir(parents=True)
    (place / 'epoch_1.pth').touch()
    with pytest.raises(FileExistsError, match='--resume'):
        configure_training(CONFIG, {})
    assert configure_training(CONFIG, BATCH)
    assert configure_training(CONFIG, {}, overwrite=True)
    assert list(place.iterdir()) == []


def test_checkpoints_in_an_out_dir_are_not_overwritten_either(tmp_path):
    text = f"_base_ = '{TOY}'\ndefault_hooks = dict(checkpoint=dict(out_dir='out'))\n"
    (tmp_path / 'toy.py').write_text(text)
    saved = tmp_path / 'out' / 'toy' / 'epoch_1.pth'
    saved.parent.mkdir(parents=True)
    saved.touch()
    with pytest.raises(FileExistsError, match=r'out/toy holds an earlier run'):
        configure_training('toy.py', {})
    with pytest.raises(ValueError, match=r'out/toy/epoch_1.pth is empty'):
        configure_training('toy.py', {}, resume='auto')
    torch.save({'meta': {}}, saved)
    cfg = configure_training('toy.py', {}, resume='auto')
    assert cfg.load_from == 'out/toy/epoch_1.pth'
    configure_training('toy.py', {}, overwrite=True)
    assert not saved.exists()


def test_a_loop_that_counts_nothing_is_refused(tmp_path):
    text = f"_base_ = '{TOY}'\ntrain_cfg = dict(_delete_=True, max_epochs=2)\n"
    (tmp_path / 'toy.py').write_text(text)
    with pytest.raises(ValueError, match='neither by_epoch nor type'):
        configure_training('toy.py', {})


def test_resume_finds_the_directory_of_the_same_overrides(tmp_path):
    place = tmp_path / configure_training(CONFIG, BATCH).work_dir
    place.mkdir(parents=True)
    torch.save({'meta': {}}, place / 'epoch_1.pth')
    found = f'{place.relative_to(tmp_path)}/epoch_1.pth'
    cfg = configure_training(CONFIG, BATCH, resume='auto')
    assert (cfg.resume, cfg.load_from) == (True, found)


def test_resume_in_the_config_is_that_of_the_command_line(tmp_path):
    (tmp_path / 'toy.py').write_text(f"_base_ = '{TOY}'\nresume = True\n")
    cfg = configure_training('toy.py', {})
    assert (cfg.resume, cfg.get('load_from')) == (False, None)
    place = tmp_path / 'work_dirs' / 'toy'
    place.mkdir(parents=True)
    torch.save({'meta': {}}, place / 'epoch_1.pth')
    (place / 'epoch_2.pth').touch()
    cfg = configure_training('toy.py', {})
    assert (cfg.resume, cfg.load_from) == (True, 'work_dirs/toy/epoch_1.pth')
    with pytest.raises(ValueError, match='--overwrite deletes it'):
        configure_training('toy.py', {}, overwrite=True)


def test_a_damaged_checkpoint_that_was_asked_for_is_refused(tmp_path):
    place = tmp_path / 'work_dirs' / 'toy_2e'
    place.mkdir(parents=True)
    (tmp_path / 'mine.pth').touch()
    with pytest.raises(ValueError, match=r'mine\.pth is empty; no other is whole'):
        configure_training(CONFIG, {}, resume='mine.pth')
    torch.save({'meta': {}}, place / 'epoch_1.pth')
    with pytest.raises(ValueError, match=r'whole is work_dirs/toy_2e/epoch_1\.pth'):
        configure_training(CONFIG, {}, resume='mine.pth')
    shutil.copy(place / 'epoch_1.pth', 'mine.pth')
    assert configure_training(CONFIG, {}, resume='mine.pth').load_from == 'mine.pth'


@pytest.mark.parametrize('more', [{}, {'load_from': 'epoch_1.pth'}])
def test_resume_as_an_option_is_refused(more):
    with pytest.raises(ValueError, match=r'resume=True: use --resume \[CHECKPOINT\]'):
        configure_training(CONFIG, {'resume': True, **more})
    assert configure_training(CONFIG, more).get('load_from') == more.get('load_from')


def test_resume_without_a_checkpoint_starts_and_says_so(capsys):
    cfg = configure_training(CONFIG, {}, resume='auto')
    assert not cfg.get('resume')
    assert 'starting from the beginning' in capsys.readouterr().out


def test_resume_from_a_missing_checkpoint_is_an_error():
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .gone\.pth'):
        configure_training(CONFIG, {}, resume='gone.pth')
    with pytest.raises(ValueError, match='--overwrite'):
        configure_training(CONFIG, {}, resume='auto', overwrite=True)


def test_a_test_run_lies_below_its_training(tmp_path):
    (tmp_path / 'a.pth').touch()
    cfg = configure_test(CONFIG, 'a.pth', {})
    assert (cfg.work_dir, cfg.load_from) == ('work_dirs/toy_2e/test', 'a.pth')
    assert configure_test(CONFIG, 'a.pth', {}, work_dir='x').work_dir == 'x'
    changed = configure_test(CONFIG, 'a.pth', {'test_dataloader.batch_size': 1})
    assert changed.work_dir.startswith('work_dirs/toy_2e--batch_size=1-')


def test_a_config_without_test_part_cannot_be_tested(tmp_path):
    (tmp_path / 'a.pth').touch()
    with pytest.raises(ValueError, match='no test_evaluator'):
        configure_test(CONFIG, 'a.pth', {'test_evaluator': None})
    with pytest.raises(FileNotFoundError, match="'b.pth'"):
        configure_test(CONFIG, 'b.pth', {})


@pytest.mark.parametrize(
    ('argv', 'command'),
    [
        (['tools/train.py', 'c.py'], 'python tools/train.py c.py --resume'),
        (['/bin/hpml', 'train', 'c.py'], 'hpml train c.py --resume'),
        (
            ['tools/train.py', 'c.py', '--resume', 'x.pth', '--amp'],
            'python tools/train.py c.py --amp --resume',
        ),
        (
            ['tools/train.py', '--overwrite', 'c.py', '--tag', 'a b'],
            "python tools/train.py c.py --tag 'a b' --resume",
        ),
        (
            ['tools/train.py', 'c.py', '--cfg-options', 'a=[1, 2]', '--resume'],
            "python tools/train.py c.py --cfg-options 'a=[1, 2]' --resume",
        ),
    ],
)
def test_the_command_to_resume(argv, command, monkeypatch):
    monkeypatch.setattr('shutil.which', lambda name: sys.executable)
    assert command_to_resume(argv) == command


def test_the_command_to_resume_under_mpirun(monkeypatch):
    monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '4')
    argv = ['/bin/hpml', 'train', 'c.py', '--launcher', 'mpi']
    command = 'mpirun -np 4 hpml train c.py --launcher mpi --resume'
    assert command_to_resume(argv) == command


def test_the_command_to_resume_several_processes(monkeypatch):
    monkeypatch.setenv('HPML_MM_LAUNCHER', 'bash\ntools/dist_train.sh\nc.py\n2')
    argv = ['tools/train.py', 'c.py', '--launcher', 'pytorch', '--amp']
    assert command_to_resume(argv) == ('bash tools/dist_train.sh c.py 2 --amp --resume')


@pytest.mark.parametrize(
    ('pairs', 'message'),
    [
        (['seed'], "error: --cfg-options 'seed': write KEY=VALUE"),
        (['=1'], "error: --cfg-options '=1': write KEY=VALUE"),
        (['a=[1,(2]'], 'error: --cfg-options: Imbalanced brackets exist in 1,(2'),
    ],
)
def test_an_option_of_another_form_is_one_line(pairs, message, capsys):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['c.py', '--cfg-options', *pairs])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f'{message}\n'


def test_options_are_read_as_values():
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    args = parser.parse_args(['c.py', '--cfg-options', 'a.b=1', 'c=[1,2]', 'd=x=y'])
    assert args.cfg_options == {'a.b': 1, 'c': [1, 2], 'd': 'x=y'}
    assert parser.parse_args(['c.py']).cfg_options == {}


def caught(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def raise_(error):
    raise error


def test_an_unknown_type_is_the_users_error():
    unknown = caught(MODELS.build, {'type': 'NoSuchModel'})
    assert is_user_error(unknown)


def checked_with_a_bug():
    """Fail by a TypeError in the package's own code."""
    shortened(None)


def test_what_opencv_refuses_is_one_line(capsys):
    with pytest.raises(SystemExit) as caught, clear_errors():
        cv2.resize(np.zeros((0, 0)), (1, 1))
    assert caught.value.code == USER_ERROR
    assert re.fullmatch(
        r'error: a picture cannot .*; replace or delete it\. .*\n',
        capsys.readouterr().err,
    )


def test_bugs_and_refusals_are_told_apart():
    assert is_user_error(caught(configure_training, CONFIG, {'xyz': 1}))
    assert is_user_error(caught(open, 'gone'))
    assert is_user_error(caught(raise_, BrokenImageError('a.jpg is empty')))
    picture = caught(cv2.resize, np.zeros((0, 0)), (1, 1))
    assert is_user_error(picture)
    assert is_user_error(caught(Image.open, io.BytesIO(b'text')))
    assert not is_user_error(caught(raise_, ValueError('a bug')))
    assert not is_user_error(caught(checked_with_a_bug))
    assert not is_user_error(caught(int, 'x'))
    assert not is_user_error(caught({}.__getitem__, 'x'))
