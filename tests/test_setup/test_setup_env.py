# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The set-up, from an environment that is absent, half-made, whole or damaged."""

import importlib
import json
import re
import shutil
import sys

import pytest
from fake_setup import LAST_CALL, ROOT, TORCH, calls, site


def test_each_set_is_installed_once_and_in_order(setup_env, venv, capfd):
    base = [arguments for _, arguments in setup_env.BASE_STEPS]
    assert setup_env.main([]) == 0
    assert calls(venv) == [TORCH, *base, LAST_CALL, 'doctor']
    assert '[5/5] OpenCV' in capfd.readouterr().out
    assert setup_env.main([]) == 0
    assert capfd.readouterr() == ('', '')
    assert calls(venv) == []
    assert setup_env.main(['--extras']) == 0
    names = sorted(path.name for path in ROOT.glob('requirements/extras/*.txt'))
    extras = '-r requirements.txt ' + ' '.join(
        f'-r requirements/extras/{name}' for name in names
    )
    assert calls(venv) == [TORCH, *base, extras, LAST_CALL, 'doctor']
    assert setup_env.main(['--extras']) == setup_env.main([]) == 0
    assert calls(venv) == []


@pytest.mark.parametrize(
    'change',
    [
        lambda venv: (venv.parent / 'requirements' / 'no-deps.txt').write_text('six'),
        lambda venv: (venv / 'hpml_mm-setup.json').write_text('{"fingerprints": ["'),
        lambda venv: shutil.rmtree(site(venv) / 'six-1.17.0.dist-info'),
    ],
    ids=['list', 'stamp', 'package'],
)
def test_what_was_changed_or_lost_is_installed_again(setup_env, venv, change):
    assert setup_env.main([]) == 0
    calls(venv)
    change(venv)
    assert setup_env.main([]) == 0
    assert calls(venv)[1] == '-r requirements.txt'
    assert (site(venv) / 'six-1.17.0.dist-info').is_dir()


@pytest.mark.parametrize(
    ('printed', 'told'),
    [
        (
            'ERROR: disk full\nnote: sorry',
            r'failed: disk full\. /.*/hpml_mm-setup\.log says more',
        ),
        (
            'connection broken\nERROR: No torch',
            'failed: No torch. The package index was',
        ),
    ],
)
def test_a_failed_step_is_one_line_and_the_next_run_goes_on(
    setup_env, venv, capfd, printed, told
):
    (venv / 'fail').write_text(f'Collecting\n{printed}\n')
    assert setup_env.main([]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert re.search(rf'^setup: error: \[1/5\] PyTorch {told}', last)
    assert calls(venv) == [TORCH]
    log = (venv / 'hpml_mm-setup.log').read_text()
    assert printed in log
    (venv / 'fail').unlink()
    assert setup_env.main([]) == 0
    assert len(calls(venv)) == 6


def test_what_a_killed_pip_left_is_removed(setup_env, venv):
    for name in ('scipy-1.17.1.dist-info', '~cipy', 'numpy-2.4.6.dist-info'):
        (site(venv) / name).mkdir()
    (site(venv) / 'numpy-2.4.6.dist-info' / 'RECORD').touch()  # pip writes it last
    assert setup_env.main([]) == 0
    names = {path.name for path in site(venv).iterdir()}
    assert 'numpy-2.4.6.dist-info' in names
    assert not names & {'scipy-1.17.1.dist-info', '~cipy'}


def test_a_half_made_environment_is_made_anew(setup_env, venv, monkeypatch):
    python, maker = venv / 'bin' / 'python', venv.parent / 'maker'
    makes = f'case "$*" in *venv*) echo "$*" > calls; mv {venv}/whole {python};; esac'
    maker.write_text(f'#!/bin/sh\n{makes}\n')
    maker.chmod(0o755)
    python.rename(venv / 'whole')
    python.symlink_to('/nowhere/python3')
    monkeypatch.setattr(sys, 'executable', str(maker))
    assert setup_env.main([]) == 0
    assert (venv.parent / 'calls').read_text() == f'-m venv --clear {venv}\n'
    assert len(calls(venv)) == 6


def test_stop_by_keyboard(setup_env, venv, monkeypatch, capfd):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_env, 'run_step', interrupt)
    assert setup_env.main([]) == 130
    assert 'the same command goes on from here' in capfd.readouterr().err
    assert not (venv / 'hpml_mm-setup.json').exists()


@pytest.mark.parametrize('gpu', [False, True])
def test_pytorch_without_cuda_where_there_is_no_gpu(
    setup_env, venv, monkeypatch, capfd, gpu
):
    index = venv.parent / 'index'
    (index / 'torch').mkdir(parents=True)
    monkeypatch.setenv('TORCH_INDEX', str(index))
    monkeypatch.setattr(setup_env.setup_checks, 'has_gpu', lambda: gpu)
    assert setup_env.main([]) == 0
    assert calls(venv)[0] == (TORCH if gpu else f'--index-url {index} {TORCH}')
    told = [line for line in capfd.readouterr().out.splitlines() if 'CUDA' in line]
    assert bool(told) != gpu
    assert gpu or 'For CUDA: make clean, and the same without TORCH_INDEX' in told[0]


def test_a_hanging_download_is_told(setup_env, venv, monkeypatch, capfd):
    (venv / 'hang').touch()
    monkeypatch.setattr(importlib.import_module('setup_watch'), 'HANG_SECONDS', 0.2)
    assert setup_env.main([]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if 'nothing' in line]
    assert re.match(r'setup: nothing has come for \d+ s, after: Collecting', told[0])


@pytest.mark.parametrize('of_machine', [False, True])
def test_the_doctor_judges_what_was_installed(setup_env, venv, capfd, of_machine):
    finding = {'what': 'torch', 'found': 'cpu', 'remedy': 'pip install torch'}
    finding['of_machine'] = of_machine
    (venv / 'findings').write_text(json.dumps([finding], indent=1))
    assert setup_env.main([]) == (0 if of_machine else 1)
    printed = capfd.readouterr()
    told = f'torch: cpu: {venv}/bin/pip install torch'
    if of_machine:  # no package mends it, so it is told, and all goes on
        assert f'setup: {told}\n' in printed.out
    else:
        assert printed.err == f'setup: error: {told}\n'
    calls(venv)
    assert setup_env.main([]) == (0 if of_machine else 1)
    assert calls(venv) == [] or not of_machine
