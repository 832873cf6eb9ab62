# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The fingerprint of a run."""

import json
import subprocess
from datetime import datetime

import mmengine
import pytest
import torch

from hpml_mm.utils.env import code_version, environment, project_version


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


NO_PROJECT = {'project_commit': None, 'project_dirty': None}


@pytest.fixture
def project(tmp_path, package):
    """A config in a repository of its own, which has the package's within."""
    config = tmp_path / 'configs' / 'a.py'
    config.parent.mkdir()
    config.write_text('')
    (tmp_path / '.gitignore').write_text('/repository/\nwork_dirs/\n')
    git(tmp_path, 'init', '-q')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-q', '-m', 'Start')
    return config


def test_the_commit_of_a_project(project, package):
    commit = git(project.parent, 'rev-parse', 'HEAD')
    assert commit != code_version(package)[0]
    found = {'project_commit': commit, 'project_dirty': False}
    assert project_version(project, package) == found
    (project.parents[1] / '.gitignore').write_text('/repository/\nwork_dirs/\n\n')
    assert project_version(project, package) == found | {'project_dirty': True}


def test_a_config_that_was_never_committed_is_not_in_the_commit(project, package):
    new = project.with_name('new.py')
    new.write_text('')
    assert project_version(new, package)['project_dirty'] is True
    assert project_version(project, package)['project_dirty'] is False


def test_what_is_no_project(project, package, tmp_path):
    own, ignored = package / 'config.py', tmp_path / 'work_dirs' / 'a.py'
    for path in (own, ignored):
        path.parent.mkdir(exist_ok=True)
        path.write_text('')
        assert project_version(path, package) == NO_PROJECT
    assert project_version(None, package) == NO_PROJECT
    # A package that is installed has no commit of its own.
    site = tmp_path / 'site' / 'hpml_mm'
    site.mkdir(parents=True)
    assert project_version(project, site)['project_dirty'] is False


def test_environment_tells_versions_and_hardware():
    env = environment()
    assert env['torch'] == torch.__version__
    assert env['mmengine'] == mmengine.__version__
    assert env['threads'] == torch.get_num_threads()
    assert env['cpu_count'] >= 1
    assert datetime.fromisoformat(env['date']).tzinfo is not None
    assert (env['cuda'] is None) == (not torch.cuda.is_available())
    assert json.loads(json.dumps(env, allow_nan=False)) == env
