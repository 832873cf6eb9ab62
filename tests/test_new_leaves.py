# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""An ablation is one short file, and a wrong name is told what is wrong."""

import shutil

import hpml_mm  # noqa: F401  # isort: skip
import pytest
from leaves import CONFIGS, depth, name_problems

from hpml_mm.config.overrides import load_config

COPYRIGHT = (
    '# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.\n'
)
ADAMW = """\
_base_ = '../_base_/cats/hrnet_w32_heavy.py'

optim_wrapper = dict(optimizer=dict(type='AdamW'))
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
"""
CHILD = """\
_base_ = './e27_td-hm_hrnet-w32_1xb32-lr5e-4-heavy-210e_cats-256x256.py'

optim_wrapper = dict(optimizer=dict(type='AdamW'))
"""
SIZE = """\
_base_ = './cats_256x256.py'

codec = dict(_base_.codec, input_size=(320, 320), heatmap_size=(80, 80), sigma=8 / 3)
model = dict(head=dict(decoder=codec))
train_pipeline = _base_.train_dataloader.dataset.pipeline
eval_pipeline = _base_.val_dataloader.dataset.pipeline
for step in train_pipeline + eval_pipeline:
    new = dict(input_size=codec['input_size'], encoder=codec)
    step.update({key: value for key, value in new.items() if key in step})
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
test_dataloader = dict(dataset=dict(pipeline=eval_pipeline))
name_defaults = dict(sigma=codec['sigma'])
del train_pipeline, eval_pipeline, step, new
"""
SIZED = """\
_base_ = ['../_base_/topdown/cats_320x320.py', '../_base_/cats/res50_150e.py']

model = _base_.network
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
"""
NETWORK = """\
_base_ = 'mmpretrain::_base_/models/resnet18.py'

model = dict(head=dict(num_classes=7, topk=(1,)))
name_defaults = dict(optimizer='adam', workers=4)
"""
BATCH = """\
_base_ = './mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
train_dataloader = dict(batch_size=256)
val_dataloader = dict(batch_size=256)
test_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
"""
HEAVY = 'cat_pose/td-hm_hrnet-w32_1xb32-adamw-lr5e-4-heavy-210e_cats-256x256.py'
ABLATIONS = {
    'an optimizer': {HEAVY: ADAMW},
    'an optimizer, as a child': {HEAVY: CHILD},
    'a size': {
        'cat_pose/td-hm_res50_1xb32-lr5e-4-150e_cats-320x320.py': SIZED,
        '_base_/topdown/cats_320x320.py': SIZE,
    },
    'a network': {
        'fer/resnet18_1xb16-30e_fer2013-224px.py': "_base_ = ['../_base_/fer/constant_"
        "224px.py', '../_base_/models/resnet18.py']\n",
        '_base_/models/resnet18.py': NETWORK,
    },
    'a batch size': {
        'fer/mini-xception_1xb256-bf16-channels-last-24e_fer2013-44px.py': BATCH
    },
}


@pytest.fixture
def configs(tmp_path):
    return shutil.copytree(CONFIGS, tmp_path / 'configs')


def write(configs, files):
    """Write new files; returns the leaf, which comes first."""
    for name, text in files.items():
        assert not (CONFIGS / name).exists()
        (configs / name).write_text(COPYRIGHT + text)
    return configs / next(iter(files))


@pytest.mark.parametrize('files', ABLATIONS.values(), ids=ABLATIONS)
def test_an_ablation_is_one_file_of_six_lines(configs, files):
    leaf = write(configs, files)
    lengths = [len((configs / name).read_text().splitlines()) for name in files]
    assert lengths[0] <= 6
    assert all(length <= 15 for length in lengths[1:])
    assert depth(leaf) <= 4
    assert name_problems(leaf) == []
    load_config(str(leaf))


@pytest.mark.parametrize(
    ('name', 'files', 'words'),
    [
        (HEAVY.replace('-adamw', ''), ADAMW, ['adamw', 'missing', 'optimizer']),
        (HEAVY.replace('adamw', 'adamax'), ADAMW, ['adamax', 'adamw', 'optimizer']),
        (HEAVY.replace('xb32', 'xb80'), ADAMW, ['80', '32', 'batch_size']),
        (HEAVY.replace('heavy', 'halfbody'), ADAMW, ['halfbody', 'heavy']),
        (HEAVY.replace('hrnet-w32', 'hrnet-w48'), ADAMW, ['hrnet-w48', 'hrnet-w32']),
        (HEAVY.replace('210e', '80e'), ADAMW, ['80', '210', 'epochs']),
        (HEAVY, CHILD + "model = dict(backbone=dict(type='ResNet'))\n", ['hrnet_w32']),
        (
            HEAVY,
            CHILD + 'train_dataloader = dict(dataset=dict(max_images=80))\n',
            ['selection', '80', 'tests/pose_leaves.py'],
        ),
    ],
)
def test_a_wrong_name_is_told_the_word_and_the_file(configs, name, files, words):
    leaf = write(configs, {name.replace('_td', 'x_td'): files})
    problems = name_problems(leaf)
    assert problems
    assert all(leaf.name in problem for problem in problems)
    assert all(any(word in problem for problem in problems) for word in words)


def test_a_base_that_says_no_default_is_told_so(configs):
    files = dict(ABLATIONS['a network'])
    files['_base_/models/resnet18.py'] = NETWORK.replace("optimizer='adam', ", '')
    (problem,) = name_problems(write(configs, files))
    assert 'optimizer' in problem
    assert 'name_defaults' in problem
