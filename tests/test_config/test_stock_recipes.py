# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every stock config of the installed libraries is loaded and checked.

Each that is refused was built by hand with MMEngine alone, and fails there as well.
"""

import logging
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

import hpml_mm  # noqa: F401  # mmpose without compiled ops
from hpml_mm.config.overrides import load_config

COUNTS = {'mmpretrain': 538, 'mmpose': 408, 'mmdet': 827}
REPLKNET = 'replknet/replknet-31B_32xb64_in1k.py'
# A base file imports a model, which makes it one of MMEngine's other kind of config.
LAZY = 'configuration file type in the inheritance chain must match'
# `_base_` without .py.
NO_ENDING = 'mot17halftrain_test-mot17halfval'
# What MMEngine cannot read: the name, and part of its error.
UNREADABLE = {
    'mmpretrain': {
        REPLKNET: LAZY,
        'replknet/replknet-31B_32xb64_in1k-384px.py': LAZY,
        'replknet/deploy/replknet-31B-deploy_32xb64_in1k.py': LAZY,
        'replknet/deploy/replknet-31B-deploy_32xb64_in1k-384px.py': LAZY,
        # The base of ImageNet-21k has no test_pipeline to take.
        'swin_transformer_v2/swinv2-base-w12_8xb128_in21k-192px.py': 'test_pipeline',
        'swin_transformer_v2/swinv2-large-w12_8xb128_in21k-192px.py': 'test_pipeline',
    },
    'mmpose': {
        # Its base is looked for in mmpose/configs, which no installation has.
        'body_2d_keypoint/edpose/coco/edpose_res50_8xb2-50e_coco-800x1333.py': (
            'default_runtime.py not found'
        ),
    },
    'mmdet': {
        # Its base is looked for in bytetrack/bytetrack.
        'bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_'
        'test-mot17test.py': 'bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_'
        'test-mot17halfval.py',
        'sort/faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17train.py': NO_ENDING,
        'sort/faster-rcnn_r50_fpn_8xb2-8e_mot20halftrain_test-mot20halfval.py': (
            NO_ENDING
        ),
        'sort/faster-rcnn_r50_fpn_8xb2-8e_mot20train_test-mot20train.py': NO_ENDING,
    },
}
# What is built from these is a TypeError or KeyError of MMEngine: no class takes the
# key, no class has the name.
REFUSED = {
    'mmpretrain': {},
    'mmpose': {
        'body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py': (
            "unknown key 'extra_mapping_labels'"
        ),
        'hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py': (
            "unknown type 'HalpeHandDataset'"
        ),
    },
    'mmdet': {
        'bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot20train_'
        'test-mot20test.py': "unknown type 'MOTChallengeMetrics'",
        'bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot20train_'
        'test-mot20test.py': "unknown type 'MOTChallengeMetrics'",
        'cascade_rpn/cascade-rpn_r50-caffe_fpn_1x_coco.py': "unknown key 'sampling'",
        'pascal_voc/faster-rcnn_r50_fpn_1x_voc0712-cocofmt.py': (
            "unknown key 'eval_mode'"
        ),
        'v3det/fcos_swinb_fpn_8x4_sample1e-3_mstrain_v3det_2x.py': (
            "unknown key 'force_grad_on_level'"
        ),
    },
}


def recipes(package: str) -> tuple[Path, list[Path]]:
    """The folder of a package's configs, and all of them but the bases."""
    root = Path(find_spec(package).submodule_search_locations[0], '.mim', 'configs')
    files = sorted(root.rglob('*.py'))
    return root, [f for f in files if '_base_' not in f.relative_to(root).parts]


@pytest.fixture
def quiet():
    """No warnings of 1800 configs."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('package', 'part', 'parts'),
    [('mmpretrain', 0, 1), ('mmpose', 0, 1), *(('mmdet', i, 3) for i in range(3))],
)
def test_stock_recipes_are_refused_for_a_reason_alone(package, part, parts, quiet):
    root, files = recipes(package)
    assert len(files) == COUNTS[package]
    errors = {}
    for file in files[part::parts]:
        try:
            load_config(str(file))
        except (ValueError, OSError) as error:
            errors[str(file.relative_to(root))] = str(error)
    reasons = UNREADABLE[package] | REFUSED[package]
    mine = {str(file.relative_to(root)) for file in files[part::parts]}
    assert errors.keys() == reasons.keys() & mine
    for name, error in errors.items():
        assert reasons[name] in error


@pytest.mark.parametrize('package', UNREADABLE)
def test_mmengine_cannot_read_the_unreadable(package):
    root, _ = recipes(package)
    for name, reason in UNREADABLE[package].items():
        with pytest.raises(Exception, match=re.escape(reason)):
            Config.fromfile(root / name)
