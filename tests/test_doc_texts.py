# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What the documents show beside commands: configs, code, lines of a log."""

import ast
import re

import hpml_mm  # isort: skip  # makes mmpose importable
import pytest
from doc_commands import DOCUMENTS, ROOT, files
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import DATASETS, HOOKS, VISBACKENDS

import hpml_mm.engine.hooks
import hpml_mm.quantization.hooks
import hpml_mm.visualization.hooks  # noqa: F401
from hpml_mm.config.check import check_config
from hpml_mm.measure.cpu_load import CpuLoad
from hpml_mm.measure.layer_watch import LayerReport
from hpml_mm.measure.verdict import LoaderSetup, verdict
from hpml_mm.registry import HOOKS as OUR_HOOKS

BLOCKS = [
    pytest.param(block, id=f'{document}-{number}')
    for document in DOCUMENTS
    # These have tests of their own.
    if document not in ('docs/migrating.md', 'configs/README.md')
    for number, block in enumerate(
        re.findall(r'^```python\n(.*?)^```', (ROOT / document).read_text(), re.M | re.S)
    )
    if 'dict(' in block and not re.match(r'# \S+\.py\n', block)
]

OURS = OUR_HOOKS.module_dict


@pytest.mark.parametrize('block', BLOCKS)
def test_a_part_of_a_config_is_right(block, tmp_path):
    """Its keys are known, its hooks can be built, its trackers are there."""
    (tmp_path / 'part.py').write_text(f"default_scope = 'mmengine'\n{block}")
    cfg = Config.fromfile(tmp_path / 'part.py', import_custom_modules=False)
    check_config(cfg)
    default = list(cfg.get('default_hooks', {}).values())
    hooks = [HOOKS.build(hook) for hook in [*default, *cfg.get('custom_hooks', [])]]
    backends = cfg.get('visualizer', {}).get('vis_backends', [])
    parts = [*hooks, *(VISBACKENDS.get(backend.type) for backend in backends)]
    assert parts
    assert all(parts)


def test_every_hook_has_its_line():
    text = (ROOT / 'docs' / 'own-project.md').read_text(encoding='utf-8')
    # That of the predictor's labels goes with its own configs.
    ours = {name for name, kind in OURS.items() if 'predictor' not in kind.__module__}
    told = set(re.findall(r'`(\w+Hook)`', text))
    assert ours - told == set()
    assert told <= ours


def setup(workers=2, persistent=True, cpus=8, on_cpu=False):
    return LoaderSetup(workers, persistent, cpus, on_cpu)


def test_every_verdict_is_one_that_the_hook_gives():
    text = (ROOT / 'docs' / 'slow-training.md').read_text(encoding='utf-8')
    told = re.findall(r'^\| `(.*?)` \|', text, re.M)
    plain = LayerReport('fp32', 4, channels_last=0, relaid=0, reduced=False)
    crowd = CpuLoad(own=40, others=60, idle=0)
    given = [
        verdict(40.0, setup()),
        verdict(40.0, setup(workers=8)),
        verdict(1.0, setup(persistent=False), first_batch=30.0),
        verdict(2.0, setup(), layers=plain),
        verdict(2.0, setup(), device_idle=30.0),
        verdict(2.0, setup(on_cpu=True), load=crowd),
    ]
    assert told == given


def test_the_data_set_of_the_example_reads_its_file(tmp_path):
    code = files('docs/new-dataset.md')['my_dataset.py']
    assert ast.get_docstring(ast.parse(code).body[-1])
    exec(compile(code, 'my_dataset.py', 'exec'), {})
    (tmp_path / 'list.txt').write_text('a.png rose\nb.png daisy\n')
    dataset = DATASETS.build(
        {'type': 'MyFaces', 'ann_file': 'list.txt', 'data_root': str(tmp_path)}
    )
    found = [
        (info['img_path'], info['gt_label'])
        for info in map(dataset.get_data_info, range(2))
    ]
    assert found == [('a.png', 1), ('b.png', 0)]


def test_the_citation_is_of_this_licence():
    citation = load(ROOT / 'CITATION.cff', file_format='yaml')
    assert citation['cff-version'] == '1.2.0'
    assert citation['license'] == 'Apache-2.0'
    assert 'Apache License' in (ROOT / 'LICENSE').read_text()[:200]
