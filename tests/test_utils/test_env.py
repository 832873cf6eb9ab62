# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The fingerprint of a run."""

import json
import subprocess
from datetime import datetime

import mmengine
import pytest
import torch

from hpml_mm.utils.env import code_version, environment


def git(directory, *args):
    identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org']
    done = subprocess.run(
        ['git', '-C', str(directory), *identity, *args],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A package in a repository with one commit."""
    package = tmp_path / 'repository' / 'package'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('')
    git(tmp_path / 'repository', 'init', '-q')
    git(tmp_path / 'repository', 'add', '.')
    git(tmp_path / 'repository', 'commit', '-q', '-m', 'Start')
    return package


def test_clean_checkout(package):
    assert code_version(package) == (git(package, 'rev-parse', 'HEAD'), False)


def test_changed_checkout_is_dirty(package):
    (package / 'untracked.py').write_text('')
    assert code_version(package)[1] is False
    (package / '__init__.py').write_text('changed = True')
    assert code_version(package)[1] is True


def test_no_checkout(tmp_path):
    assert code_version(tmp_path) == (None, None)


def test_installed_within_a_foreign_checkout_is_none(package):
    installed = package / 'venv' / 'hpml_mm'
    installed.mkdir(parents=True)
    (installed / '__init__.py').write_text('')
    assert code_version(installed) == (None, None)


def test_environment_tells_versions_and_hardware():
    env = environment()
    assert env['torch'] == torch.__version__
    assert env['mmengine'] == mmengine.__version__
    assert env['threads'] == torch.get_num_threads()
    assert env['cpu_count'] >= 1
    assert datetime.fromisoformat(env['date']).tzinfo is not None
    assert (env['cuda'] is None) == (not torch.cuda.is_available())
    assert json.loads(json.dumps(env, allow_nan=False)) == env
