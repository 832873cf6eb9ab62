# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import subprocess
import sys


def test_faces_do_without_mmpose():
    code = (
        'import sys\n'
        'import importlib.util as util\n'
        'found = util.find_spec\n'
        "util.find_spec = lambda n, *a: None if n == 'mmpose' else found(n, *a)\n"
        "sys.modules['mmpose'] = None\n"
        'from hpml_mm.registry import DATASETS, HOOKS, METRICS\n'
        "names = ['FERFolderDataset', 'SummaryHook', 'FERMetric']\n"
        'for registry, name in zip([DATASETS, HOOKS, METRICS], names):\n'
        "    assert registry.get(f'hpml_mm.{name}'), name\n"
        "assert DATASETS.get('hpml_mm.CatPoseDataset') is None\n"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
