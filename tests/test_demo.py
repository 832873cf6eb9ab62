# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The training of ``make demo`` keeps its promise, again and again."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from doc_commands import commands
from python_process import run_python

ROOT = Path(__file__).parents[1]


def demo_command(work_dir):
    """The last line of the make target, in this Python and another work dir."""
    lines = subprocess.run(
        ['make', '--no-print-directory', '-n', 'demo', 'ARGS='],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    program, *words = shlex.split(lines[-1])
    assert (program, words[0]) == ('.venv/bin/hpml', 'train')
    return ['-m', 'hpml_mm.cli', *words, '--work-dir', str(work_dir)]


@pytest.mark.system
def test_the_demo_learns_and_can_be_repeated(tmp_path):
    command = demo_command(tmp_path)
    short = ['--cut-short', '--cfg-options', 'train_cfg.max_epochs=1']
    # Begun again, it need not learn again.
    for words, epochs in ((command, 8), ([*command, *short], 1)):
        done = run_python(words, ROOT, dict(os.environ))
        assert done.returncode == 0, done.stderr[-2000:]
        summary = json.loads((tmp_path / 'summary.json').read_text())
        assert summary['status'] == 'finished'
        assert summary['train']['epochs'] == epochs
        assert epochs == 1 or summary['metrics']['accuracy/top1'] >= 95
        # The card, an epoch, the verdict, the table: what fits on a screen.
        assert len((done.stdout + done.stderr).splitlines()) <= 40
        assert not {'\r', '\x1b'} & {*done.stdout}
        if epochs == 8:
            (readme,) = [
                one for one in commands() if one.line == 'make demo' and one.output
            ]
            # There the work directory is below the current one.
            said = re.sub(r'--logdir \S+', '--logdir work_dirs', done.stdout)
            assert readme.shows(said)
