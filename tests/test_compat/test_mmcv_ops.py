# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stand-in for MMCV's compiled ops.

The numeric tests call MMCV's own functions, so they hold with compiled ops too.
"""

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision import ops

from hpml_mm.compat import install_mmcv_ops
from hpml_mm.compat.mmcv_ops import SERVED, MMCVOps

ROOT = Path(__file__).resolve().parents[2]
needs_stand_in = pytest.mark.skipif(
    not install_mmcv_ops(), reason='this MMCV has compiled ops'
)


def run_python(code: str, *flags: str, path: Path = ROOT) -> str:
    """Output of a fresh interpreter that finds only ``path`` besides its own."""
    command = [sys.executable, *flags, '-c', code]
    env = os.environ | {'PYTHONPATH': f'{path}:{ROOT}'}
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def ramp() -> torch.Tensor:
    """4x4 map of value 4y + x: bilinear samples of it need no rounding."""
    return torch.arange(16.0).reshape(1, 1, 4, 4)


def test_nms_drops_by_iou():
    from mmcv.ops import nms

    # The first two overlap by 60 of 100.
    boxes = torch.tensor([[0.0, 0, 10, 6], [0, 0, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.8, 0.9, 0.7])
    assert nms(boxes, scores, 0.5)[1].tolist() == [1, 2]
    dets, kept = nms(boxes, scores, 0.65)
    assert kept.tolist() == [1, 0, 2]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.9, 0.8, 0.7]))
    assert nms(boxes, scores, 0.65, score_threshold=0.75, max_num=1)[1].tolist() == [1]
    assert nms(boxes[:0], scores[:0], 0.5)[1].tolist() == []
    assert nms(boxes.numpy(), scores.numpy(), 0.5)[1].tolist() == [1, 2]


def test_nms_offset_widens_the_boxes():
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 3]])
    scores = torch.tensor([0.9, 0.8])
    # IoU 1/3 without the offset, 4/8 with it.
    assert nms(boxes, scores, 0.4, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.4, offset=1)[1].tolist() == [0]


def test_batched_nms_keeps_classes_apart():
    from mmcv.ops import batched_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8]])
    scores = torch.tensor([0.7, 0.8, 0.9])
    classes = torch.tensor([0, 1, 1])
    config = dict(type='nms', iou_threshold=0.5)
    dets, kept = batched_nms(boxes, scores, classes, config)
    assert kept.tolist() == [2, 0]
    assert dets[0, :4].tolist() == [0, 0, 10, 8]
    expected = ops.batched_nms(boxes, scores, classes, 0.5)
    assert kept.tolist() == expected.tolist()
    assert batched_nms(boxes, scores, classes, config, True)[1].tolist() == [2]


@pytest.mark.parametrize(('aligned', 'expected'), [(True, 2.5), (False, 5.0)])
def test_roi_align_one_sample(aligned, expected):
    from mmcv.ops import roi_align

    # Box of 2x2 at the corner: its middle is (1, 1), half a pixel less if aligned.
    rois = torch.tensor([[0.0, 0, 0, 2, 2]])
    pooled = roi_align(ramp(), rois, 1, 1.0, 1, 'avg', aligned)
    assert pooled.tolist() == [[[[expected]]]]


def test_roi_align_bins_scale_and_index():
    from mmcv.ops import RoIAlign

    # Scaled to 4x4; two samples a bin fall on pixels 0, 1 and 2, 3.
    rois = torch.tensor([[1.0, 0, 0, 8, 8]])
    features = torch.cat([torch.zeros(1, 1, 4, 4), ramp()])
    pooled = RoIAlign((2, 2), spatial_scale=0.5, sampling_ratio=2)(features, rois)
    assert pooled.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_gradient(sampling_ratio, aligned):
    from mmcv.ops import RoIAlign

    torch.manual_seed(0)
    layer = RoIAlign((2, 3), 0.5, sampling_ratio, aligned=aligned)
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(
        [[0, 0.3, 1, 7, 6.2], [1, 2, 0, 11.5, 9], [0, 4, 4, 5, 5]], dtype=torch.float64
    )
    torch.testing.assert_close(
        layer(features, rois),
        ops.roi_align(features, rois, (2, 3), 0.5, sampling_ratio, aligned),
    )
    assert torch.autograd.gradcheck(lambda x: layer(x, rois), features)


@needs_stand_in
def test_half_precision_is_computed_in_float32():
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 10, 6], [0, 0, 10, 10]]).bfloat16()
    assert nms(boxes, torch.tensor([0.8, 0.9]).bfloat16(), 0.5)[1].tolist() == [1]
    features = ramp().bfloat16().requires_grad_()
    rois = torch.tensor([[0, 0, 0, 2, 2.0]])
    pooled = roi_align(features, rois, 1, 1.0, 1, 'avg', True)
    pooled.sum().backward()
    assert pooled.dtype == features.grad.dtype == torch.bfloat16
    assert pooled.item() == 2.5
    assert features.grad[0, 0, :2, :2].tolist() == [[0.25, 0.25], [0.25, 0.25]]


@needs_stand_in
def test_other_ops_name_themselves_when_called():
    from mmcv.ops import min_area_polygons

    with pytest.raises(NotImplementedError, match=r'min_area_polygons needs.*pip inst'):
        min_area_polygons(torch.rand(1, 18))


def names_of_mmcv() -> set[str]:
    """Each compiled op that a module of ``mmcv.ops`` looks up when it is imported."""
    package = Path(importlib.util.find_spec('mmcv').origin).parent
    names = set()
    for path in (package / 'ops').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and 'load_ext' in ast.unparse(node.func):
                names.update(ast.literal_eval(node.args[1]))
    return names


def test_the_document_tells_every_op_once():
    text = (ROOT / 'docs' / 'mmcv-ops.md').read_text(encoding='utf-8')
    _, served, missing = text.split('|---|---|')[0:3]
    rows = [
        [line.split('|')[1] for line in part.splitlines() if line.startswith('| `')]
        for part in (served, missing)
    ]
    told, not_served = (re.findall(r'`(\w+)`', ' '.join(part)) for part in rows)
    answered = {'get_compiler_version', 'get_compiling_cuda_version'}
    computed = [name for names in SERVED.values() for name in names]
    assert sorted(told) == sorted([*computed, *answered])
    assert sorted(told + not_served) == sorted(names_of_mmcv())


def test_every_served_op_is_found():
    for place, names in SERVED.items():
        module = importlib.import_module(f'hpml_mm.compat.mmcv_ops.{place}')
        assert all(callable(getattr(module, name)) for name in names)


@needs_stand_in
def test_the_stand_in_passes_for_a_module():
    from mmcv.utils import collect_env

    assert importlib.util.find_spec('mmcv._ext') is not None
    stand_in = sys.modules['mmcv._ext']
    assert not hasattr(stand_in, '__file__')
    assert not hasattr(stand_in, '_private')
    assert inspect.getmodule(test_nms_drops_by_iou) is not stand_in
    assert install_mmcv_ops()
    assert sys.modules['mmcv._ext'] is stand_in
    assert collect_env()['MMCV Compiler'] == 'n/a (no compiled ops)'


def test_every_op_name_is_answered():
    stand_in = MMCVOps('mmcv._ext')
    assert hasattr(stand_in, 'any_name_at_all')
    with pytest.raises(NotImplementedError, match='any_name_at_all'):
        stand_in.any_name_at_all(1, key=2)


@pytest.mark.slow
def test_importing_hpml_mm_is_cheap_and_opens_mmpose():
    heavy = ('torch', 'torchvision', 'mmcv', 'mmengine', 'mmpose', 'numpy')
    code = (
        f'import sys, hpml_mm; print([m for m in {heavy} if m in sys.modules])\n'
        'import mmpose.models; print(mmpose.models.EDPoseHead.__name__)'
    )
    lines = run_python(code).splitlines()
    assert (lines[0], lines[-1]) == ('[]', 'EDPoseHead')


def test_compiled_ops_are_not_replaced(tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_ext.py').write_text('nms = "compiled"')
    code = 'import hpml_mm, mmcv._ext; print(mmcv._ext.nms, mmcv._ext.__file__)'
    assert run_python(code, path=tmp_path) == f'compiled {package / "_ext.py"}'


def test_without_site_packages():
    code = (
        'import sys, hpml_mm, hpml_mm.predictor; '
        "print('mmcv._ext' in sys.modules, 'mmengine' in sys.modules)"
    )
    assert run_python(code, '-S') == 'False False'
