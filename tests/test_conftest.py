# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Whether a run for CI can pass without the data that it is to be run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TESTS = """
import pytest

@pytest.mark.real_data
def test_fixture(real_data):
    assert real_data.is_absolute()

@pytest.mark.real_data
def test_part(real_data):
    if not (real_data / 'part').is_dir():
        pytest.skip('no part')

@pytest.mark.real_data
@pytest.mark.gpu
def test_device(real_data):
    pytest.skip('no device')

@pytest.mark.xfail(strict=True)
def test_expected_failure():
    assert False

def test_plain_skip():
    pytest.skip('another reason')
"""


@pytest.fixture
def run_pytest(tmp_path):
    """Run the tests above with this project's conftest; returns their last line."""
    (tmp_path / 'conftest.py').write_text((HERE.parent / 'conftest.py').read_text())
    (tmp_path / 'test_it.py').write_text(TESTS)
    ini = HERE.parent / 'pyproject.toml'
    (tmp_path / 'pyproject.toml').write_text(ini.read_text())

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        options = ['-q', '-p', 'no:cacheprovider', 'test_it.py', *arguments]
        result = subprocess.run(
            [sys.executable, '-m', 'pytest', *options],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        return result.returncode, result.stdout.strip()

    return run


STRAY = """
from pathlib import Path

def test_stray():
    Path('calls').touch()
    Path('ignored').mkdir()
    Path('ignored/a').touch()

def test_after_it(tmp_path):
    (tmp_path / 'calls').touch()

def test_ignored():
    Path('ignored2').touch()
"""


def test_a_test_that_leaves_a_file_in_the_root_fails(run_pytest, tmp_path):
    subprocess.run(['git', 'init', '-q', tmp_path], check=True)
    (tmp_path / '.gitignore').write_text('ignored*\n')
    (tmp_path / 'test_it.py').write_text(STRAY)
    status, output = run_pytest()
    assert status == 1
    assert 'made in the root, not in tmp_path: calls\n' in output
    assert '3 passed, 1 error' in output


def test_skips_without_data(run_pytest):
    status, output = run_pytest(HPML_MM_DATA='nowhere', HPML_MM_REQUIRE_DATA='0')
    assert status == 0
    assert '4 skipped, 1 xfailed' in output.splitlines()[-1]


def test_required_data_must_be_there(run_pytest):
    status, output = run_pytest(HPML_MM_DATA='nowhere', HPML_MM_REQUIRE_DATA='1')
    assert status == 1
    assert '2 skipped, 1 xfailed, 2 errors' in output.splitlines()[-1]
    assert 'REQUIRE_DATA=1, yet this test was: Skipped: no real data at /' in output


def test_part_of_the_data_missing(run_pytest, tmp_path):
    (tmp_path / 'data').mkdir()
    status, output = run_pytest(HPML_MM_DATA='data', HPML_MM_REQUIRE_DATA='1')
    assert status == 1
    assert '1 failed, 1 passed, 2 skipped, 1 xfailed' in output.splitlines()[-1]
    (tmp_path / 'data' / 'part').mkdir()
    status, output = run_pytest(HPML_MM_DATA='data', HPML_MM_REQUIRE_DATA='1')
    assert status == 0
    assert '2 passed, 2 skipped, 1 xfailed' in output.splitlines()[-1]


@pytest.mark.parametrize(
    ('arguments', 'devices'),
    [([], ''), (['-m', 'gpu'], '5')],
)
def test_only_gpu_tests_see_a_gpu(run_pytest, tmp_path, arguments, devices):
    (tmp_path / 'test_it.py').write_text(
        'import os, pytest\n\n'
        '@pytest.mark.gpu\n'
        'def test_devices():\n'
        f"    assert os.environ['CUDA_VISIBLE_DEVICES'] == {devices!r}\n"
    )
    given = devices if 'gpu' in arguments else '5'
    status, output = run_pytest(*arguments, CUDA_VISIBLE_DEVICES=given)
    assert status == 0, output
