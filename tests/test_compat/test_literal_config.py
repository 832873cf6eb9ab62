# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.infer import BaseInferencer

import hpml_mm  # noqa: F401
from hpml_mm.compat.literal_config import literal_config
from hpml_mm.datasets.pose.metainfo import metainfo_file
from hpml_mm.deploy.steps import metainfo_of, steps_of
from hpml_mm.utils.model import build_model

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    'path',
    [
        'mmpretrain::resnet/resnet18_8xb32_in1k.py',
        'mmpretrain::vision_transformer/vit-base-p16_64xb64_in1k.py',
        'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py',
        'mmpose::animal_2d_keypoint/topdown_heatmap/ap10k/'
        'td-hm_hrnet-w32_8xb64-210e_ap10k-256x256.py',
    ],
)
def test_stock_configs_are_read(path):
    config = get_config(path)
    found = literal_config(config.pretty_text, path)
    assert steps_of(found) == steps_of(config)
    for key, value in metainfo_of(config).items():
        if key in ('classes', 'keypoint_id2name', 'flip_indices'):
            assert metainfo_of(found)[key] == value
    assert 'default_hooks' not in found


def test_full_paths_of_classes_become_registered_names():
    """Pure Python configs are written so."""
    text = (
        "model=dict(type='mmpretrain.models.classifiers.image.ImageClassifier', "
        "backbone=dict(type='mmpretrain.models.backbones.vgg.VGG', depth=11, "
        "act_cfg=dict(type='torch.nn.modules.activation.ReLU')))\n"
        "default_scope='mmpretrain'"
    )
    model = literal_config(text, 'a.pth').model
    assert model.type == 'mmpretrain.ImageClassifier'
    assert model.backbone.type == 'mmpretrain.VGG'
    assert model.backbone.act_cfg.type.endswith('.ReLU')
    assert type(build_model(literal_config(text, ''))).__name__ == 'ImageClassifier'


def test_what_is_data_comes_back():
    text = (
        "model=dict(type='ResNet', a=-1.5, b=(1, None), c={'x.y': 2, 3: inf}, "
        "d=dict({'m.n': True}), e={1, 2}, init_cfg=dict(type='Pretrained'))\n"
        'default_hooks=dict(x=dict(type=1))\n'
        "test_dataloader=dict(dataset=dict(type='CocoDataset', data_root='a/(b)', "
        "metainfo=dict(from_file='/home/x/cats_17.py')), sampler=dict(type=1))"
    )
    known = Path(metainfo_file('coco_person')).name
    config = literal_config(text.replace('cats_17.py', known), 'a.pth')
    assert config.model == dict(
        type='ResNet',
        a=-1.5,
        b=(1, None),
        c={'x.y': 2, 3: float('inf')},
        d={'m.n': True},
        e={1, 2},
    )
    assert set(config) == {'model', 'test_dataloader'}
    assert config.test_dataloader.dataset.metainfo.from_file == metainfo_file(
        'coco_person'
    )


def model(inner: str) -> str:
    return f"model=dict(type='ResNet', {inner})"


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('import os', 'line 1 is no assignment'),
        ('a = __import__("os")', 'calls __import__'),
        ('a = [x for x in ()]', 'malformed'),
        ('a = dict(**b)', 'calls dict'),
        ('a = {**b}', 'unpacks'),
        ('a = (' * 300, 'nested'),
        ('a = ' + '-' * 100_000 + '1', 'give the config file'),
        (model('x=dict(type="os.system", command="x")'), 'os.system'),
        # Functions of packages that have registries, of which these are no part.
        (model('x=dict(type="mmcv.convert_video", in_file=";x")'), 'mmcv.convert'),
        (model('x=dict(type="mmengine.load", file="a")'), 'mmengine.load'),
        # MMEngine imports a name that it does not know.
        (model('x=dict(type="antigravity")'), 'antigravity'),
        (model('x=dict(type=["ResNet"])'), "type ['ResNet']"),
        (model('x=dict(type="HuggingFaceClassifier")'), 'fetches code'),
        (model('x=dict(type="DWPoseDistiller")'), 'fetches code'),
        (model('x=dict(type="ReLU", _scope_="evil")'), "scope 'evil'"),
        (model('x=dict(type="ReLU", trust_remote_code=True)'), 'trust_remote_code'),
        # Stock classes evaluate a dtype and others.
        (model('x="float32, exit()"'), 'float32, exit()'),
        (model('x=" x.__class__"'), '__class__'),
        (model('x=["teacher.py"]'), 'teacher.py'),
        (model('x="https://x.org/a"'), 'https://x.org/a'),
        (model('x=dict(metainfo="/tmp/evil.py")'), '/tmp/evil.py'),
        (model('x=dict(metainfo=dict(from_file="../../evil.py"))'), 'evil.py'),
        (model('x=dict(metainfo=dict(from_file="/x/__init__.pyc"))'), 'none of an'),
        (model('x=dict(metainfo=dict(classes="/etc/passwd"))'), 'classes is a file'),
        ('default_scope="evil"', "scope 'evil'"),
        ('default_scope=["mmpose"]', 'scope'),
    ],
)
def test_all_else_is_refused(text, reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as raised:
        literal_config(text, 'a.pth')
    message = str(raised.value)
    assert message.startswith('a.pth: its config cannot be read as data')
    assert message.endswith('give the config file')
    assert len(message) < 320
    assert '\n' not in message


def test_other_parts_of_a_config_are_not_taken():
    text = '_base_ = "evil.py"\ncustom_imports = dict(imports=["evil"])\nmodel = None'
    assert dict(literal_config(text, '')) == {'model': None}


def test_texts_that_are_no_calls_are_words():
    assert literal_config("model=dict(metric='top1(%)')", '').model.metric == 'top1(%)'


def test_inferencers_of_mmengine_execute_no_config(tmp_path, monkeypatch):
    monkeypatch.setattr(
        'mmengine.infer.infer._load_checkpoint',
        lambda *_, **__: {'meta': {'cfg': f'import os\nos.mkdir("{tmp_path}/ran")'}},
    )
    with pytest.raises(ValueError, match='cannot be read as data'):
        BaseInferencer._init_model(None, Config(), 'a.pth')
    assert not (tmp_path / 'ran').exists()
