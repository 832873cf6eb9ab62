# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The script of ``hpml completion``, called as a shell calls it."""

import contextlib
import io
import shutil
import subprocess

import pytest

from hpml_mm.cli import COMMANDS, main

pytestmark = pytest.mark.slow
# Bash fills these variables and calls the function that `complete -p` names.
BASH = """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
completer=$(complete -p hpml); completer=${completer##*-F }; completer=${completer%% *}
$completer hpml "${@: -1}" "${@: -2:1}" 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(['completion', shell])
    return printed.getvalue()


@pytest.fixture(scope='module')
def bash() -> str:
    return script('bash') + BASH


@pytest.mark.parametrize(
    ('words', 'offered'),
    [
        (['tra'], ['train']),
        ([''], list(COMMANDS)),
        (['data', 'conv'], ['convert']),
        (['train', 'a.py', '--laun'], ['--launcher']),
        (['train', 'a.py', '--launcher', 's'], ['slurm']),
        (['train', 'a.p'], ['a.py']),
        (['nas', 'cache', 'sum'], ['summary']),
        (['test', 'a.py', 'b.pth', '--out', 'a'], ['a.py']),
    ],
    ids=lambda words: ' '.join(words)[:30],
)
def test_bash_is_offered_what_fits(bash, tmp_path, words, offered):
    (tmp_path / 'a.py').touch()
    done = subprocess.run(
        ['bash', '--norc', '-c', bash, 'bash', 'hpml', *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(offered) <= set(done.stdout.split())
    if len(offered) == 1:
        assert done.stdout.split() == offered


def test_zsh_reads_its_script(tmp_path):
    (tmp_path / '_hpml').write_text(text := script('zsh'))
    assert text.startswith('#compdef hpml')
    if shutil.which('zsh') is None:
        pytest.skip('no zsh here: its script is not read')
    done = subprocess.run(['zsh', '-n', tmp_path / '_hpml'], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b'')
