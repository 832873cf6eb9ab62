# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mends of stock modules: when they happen, and that they touch nothing else.

A module is executed in a fresh interpreter, since this one has mended it already.
"""

import textwrap
from pathlib import Path

import pytest
from python_process import run_python

from hpml_mm.compat import MENDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lines(tmp_path):
    """Run code in a fresh interpreter and return the lines that it prints."""

    def lines(code: str) -> list[str]:
        (tmp_path / 'run.py').write_text(textwrap.dedent(code))
        result = run_python(['run.py'], tmp_path, {'PYTHONPATH': f'{tmp_path}:{ROOT}'})
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    return lines


@pytest.fixture
def package(tmp_path):
    """Package with the value 1, and a mend that makes it 2."""
    (tmp_path / 'stock').mkdir()
    (tmp_path / 'stock' / '__init__.py').write_text('')
    (tmp_path / 'stock' / 'part.py').write_text('value = 1\n')
    (tmp_path / 'mender.py').write_text('def mend(module):\n    module.value += 1\n')
    return tmp_path


INSTALL = """
from hpml_mm.compat import install_mends
install_mends({'stock.part': 'mender'})
install_mends({'stock.part': 'mender'})
"""


@pytest.mark.parametrize('first', ['', 'import stock.part'])
def test_order_of_imports_does_not_matter(lines, package, first):
    code = f'{first}\n{INSTALL}\nfrom stock.part import value; print(value)'
    assert lines(code) == ['2']


def test_nothing_is_imported_for_a_module_that_nobody_imports(lines, package):
    code = (
        INSTALL + "import stock, sys; print({'mender', 'stock.part'} & {*sys.modules})"
    )
    assert lines(code) == ['set()']


def test_a_mended_module_keeps_loader_and_source(lines, package):
    code = f"""{INSTALL}
import importlib, inspect, stock.part
print(type(stock.part.__loader__).__name__, inspect.getsource(stock.part).strip())
importlib.reload(stock.part)
print(stock.part.value, importlib.util.find_spec('stock.other'))
"""
    assert lines(code) == ['SourceFileLoader value = 1', '2 None']


STAND_IN = """
import importlib.util, sys
import hpml_mm
from mmdet.datasets.transforms.generate_line import ImageAug
print('imgaug' in sys.modules)
resize = dict(name='Resize', p=1, parameters=dict(size=dict(width=4, height=4)))
try:
    print(len(ImageAug([resize]).pipeline))
except ImportError as error:
    print(error)
"""


@pytest.mark.slow
def test_mmdet_datasets_without_imgaug(lines):
    here, error = lines('import sys; sys.modules["imgaug"] = None' + STAND_IN)[-2:]
    assert here == 'True'  # the None that hides it from this test is put back
    assert error.startswith('imgaug.augmenters.Resize needs imgaug, which cannot be ')


@pytest.mark.slow
def test_imgaug_that_is_there_is_used(lines, tmp_path):
    for module, content in {
        '': '',
        'augmenters': 'Resize = dict\n'
        'def Sometimes(p, then_list): return then_list\n'
        'Sequential = list\n',
        'augmentables.__init__': '',
        'augmentables.lines': 'LineString = LineStringsOnImage = 1',
        'augmentables.segmaps': 'SegmentationMapsOnImage = 1',
    }.items():
        file = tmp_path / 'imgaug' / f'{module.replace(".", "/") or "__init__"}.py'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert lines(STAND_IN)[-2:] == ['True', '1']


@pytest.mark.slow
def test_imgaug_that_numpy_2_breaks_is_answered(lines, tmp_path):
    (tmp_path / 'imgaug').mkdir()
    (tmp_path / 'imgaug' / '__init__.py').write_text('import numpy; numpy.sctypes')
    here, error = lines(STAND_IN)[-2:]
    assert here == 'False'
    assert '`np.sctypes` was removed' in error


@pytest.mark.slow
def test_without_albumentations_the_libraries_are_as_they_were(lines):
    printed = lines("""
        import sys; sys.modules['albumentations'] = None
        import hpml_mm
        from mmpose.datasets.transforms.common_transforms import Albumentation
        try:
            Albumentation([dict(type='Blur')])
        except RuntimeError as error:
            print(error)
    """)
    assert printed[-1] == 'albumentations is not installed'


def test_the_document_names_each_module():
    text = (ROOT / 'docs' / 'stock-packages.md').read_text(encoding='utf-8')
    assert [name for name in MENDS if f'`{name}`' not in text] == []


@pytest.mark.slow
def test_stock_packages_print_nothing_past_the_log(lines):
    """Neither when they are imported nor when COCO's tools work."""
    printed = lines("""
        import warnings
        warnings.simplefilter('error', UserWarning)
        import hpml_mm
        import mmpretrain.datasets, mmdet.datasets, mmdet.evaluation
        from mmengine.logging import MMLogger, print_log
        from mmdet.evaluation.metrics.faster_coco_metric import FasterCocoMetric
        from xtcocotools.coco import COCO
        import pycocotools.coco
        print_log('a line')
        logger = MMLogger.get_instance('run', log_level='ERROR')
        print_log('a line of the run')
        COCO().createIndex()
        pycocotools.coco.COCO().createIndex()
        try:
            FasterCocoMetric()
        except UserWarning as error:
            print(str(error).split(':')[0])
    """)
    assert printed == ['a line', 'faster_coco_eval is not installed']
