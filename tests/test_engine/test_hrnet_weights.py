# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The original HRNet code's checkpoints in MMPose's model."""

import uuid

import pytest
import torch
from hrnet_models import build_pose_model, hrnet_config
from mmengine.config import Config
from original_hrnet import WEIGHTS, OriginalHRNet, made_up, network, pose_checkpoint

from hpml_mm.engine.hrnet_weights import rename_hrnet
from hpml_mm.engine.weights import load_fitting, weights_for
from hpml_mm.runner import build_runner


def some_images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def heatmaps(model):
    with torch.no_grad():
        return model.eval()(some_images(), None, mode='tensor')


def runner_with(model, path, tmp_path, **parts):
    """A runner as the tools build it, with its checkpoint loaded."""
    cfg = Config(
        {
            'model': model,
            'work_dir': str(tmp_path / 'run'),
            'load_from': str(path),
            'default_scope': 'mmpose',
            'experiment_name': uuid.uuid4().hex,
            **parts,
        }
    )
    runner = build_runner(cfg)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def log_of(tmp_path):
    return next((tmp_path / 'run').glob('*/*.log')).read_text()


@pytest.fixture(scope='module')
def original():
    return pose_checkpoint()


@pytest.fixture(scope='module')
def narrow():
    """Eight channels instead of 32, for what is the same with any number."""
    return pose_checkpoint(width=8)


@pytest.fixture(scope='module')
def expected(narrow):
    return OriginalHRNet(narrow)(some_images())


def saved(content, tmp_path):
    path = tmp_path / 'pose_hrnet.pth'
    torch.save(content, path)
    return path


@pytest.mark.slow
def test_every_weight_of_w32_has_its_place(original, tmp_path):
    """Heatmaps are bit-equal to those of the weights put into place by hand."""
    runner = runner_with(hrnet_config(), saved(original, tmp_path), tmp_path)
    by_hand = build_pose_model(hrnet_config())
    network_only = {k: v for k, v in original.items() if 'final_layer' not in k}
    by_hand.backbone.load_state_dict(network_only, strict=True)
    with torch.no_grad():
        by_hand.head.final_layer.weight.copy_(original['final_layer.weight'])
        by_hand.head.final_layer.bias.copy_(original['final_layer.bias'])
    assert torch.equal(heatmaps(runner.model), heatmaps(by_hand))
    assert (
        f"{WEIGHTS} of the model's {WEIGHTS} weights taken, 0 missing, 0 of another "
        "shape; 0 of the checkpoint's left over" in log_of(tmp_path)
    )
    assert WEIGHTS == 1462


@pytest.mark.slow
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_each_weight_does_what_it_does_in_the_original(
    narrow, expected, tmp_path, prefix
):
    """Also with DataParallel's prefix, and the optimizer beside the weights."""
    content = {f'{prefix}{name}': value for name, value in narrow.items()}
    if prefix:
        content = {'epoch': 3, 'state_dict': content, 'optimizer': {}}
    # EMAHook alone would fail: the bare file has no 'state_dict'.
    average = dict(type='EMAHook')
    path = saved(content, tmp_path)
    runner = runner_with(hrnet_config(8), path, tmp_path, custom_hooks=[average])
    assert expected.std() > 1e-3
    torch.testing.assert_close(heatmaps(runner.model), expected)
    (hook,) = (h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    averaged = hook.ema_model.module.state_dict()
    name = 'transition1.0.0.weight'
    assert torch.equal(averaged[f'backbone.{name}'], narrow[name])


@pytest.mark.slow
def test_a_last_layer_for_other_keypoints_is_left_out_and_told(narrow, tmp_path):
    path = saved(narrow, tmp_path)
    runner = runner_with(hrnet_config(8, keypoints=20), path, tmp_path)
    own = runner.model.state_dict()
    name = 'stage4.2.branches.0.3.conv2.weight'
    assert torch.equal(own[f'backbone.{name}'], narrow[name])
    log = log_of(tmp_path)
    assert (
        f"{WEIGHTS - 2} of the model's {WEIGHTS} weights taken, 0 missing, 2 of" in log
    )
    assert 'head.final_layer.weight is (20, 8, 1, 1), not (17, 8, 1, 1)' in log


def test_imagenets_layers_are_left_over():
    """The network for ImageNet keeps its low resolutions, and classifies with them."""
    layers = [
        *network(8, lower_outputs=True),
        ('incre_modules.0.0.conv1.weight', (32, 8, 1, 1)),
        ('final_layer.0.weight', (64, 32, 1, 1)),
        ('final_layer.0.bias', (64,)),
        ('classifier.weight', (10, 64)),
    ]
    state = made_up(layers)
    model = build_pose_model(hrnet_config(8))
    fitting, report = rename_hrnet(state, model.state_dict(), 'hrnet_w8.pth')
    assert report.missing == ('head.final_layer.bias', 'head.final_layer.weight')
    assert len(report.matched) == WEIGHTS - 2
    # To three lower resolutions: 3 + 2 + 1 convolutions up and 1 + 2 + 3, ... down.
    lower = (2 + 1) + 10
    assert len(report.unused) == 5 * lower + 4
    assert 'final_layer.0.weight' in report.unused
    name = 'transition2.2.0.0.weight'
    assert torch.equal(fitting[f'backbone.{name}'], state[name])


def test_what_is_missing_is_named(narrow):
    part = {k: v for k, v in narrow.items() if not k.startswith('stage3.3.')}
    wanted = build_pose_model(hrnet_config(8)).state_dict()
    _, report = rename_hrnet(part, wanted, 'a.pth')
    assert len(report.missing) == 5 * (24 + 3 + 4)
    assert {name[:18] for name in report.missing} == {'backbone.stage3.3.'}
    assert len(report.matched) == WEIGHTS - len(report.missing)
    assert ' and 149 more' in report.text()
    # A file without batch counters misses nothing.
    old = {k: v for k, v in narrow.items() if 'num_batches' not in k}
    fitting, report = rename_hrnet(old, wanted, 'a.pth')
    assert (len(fitting), report.missing, report.unused) == (WEIGHTS, (), ())


@pytest.mark.slow
def test_another_width_or_backbone_is_refused(narrow):
    with pytest.raises(ValueError, match='a.pth is an HRNet of another width'):
        weights_for(build_pose_model(hrnet_config(16)), narrow, 'a.pth')
    config = hrnet_config(8)
    config['backbone'] = dict(type='ResNet', depth=18)
    config['head']['in_channels'] = 512
    with pytest.raises(ValueError, match='the backbone of this model is no HRNet'):
        weights_for(build_pose_model(config), narrow, 'a.pth')


def test_a_checkpoint_that_gives_nothing_is_refused(tmp_path):
    path = saved({'state_dict': {'encoder.weight': torch.ones(1)}}, tmp_path)
    with pytest.raises(ValueError, match='holds no weight of this model: it has enc'):
        runner_with(hrnet_config(8), path, tmp_path)


@pytest.mark.slow
def test_a_test_run_takes_the_original_and_wants_all_of_it(narrow, expected, tmp_path):
    path = str(saved(narrow, tmp_path))
    model = build_pose_model(hrnet_config(8))
    load_fitting(model, path)
    torch.testing.assert_close(heatmaps(model), expected)
    with pytest.raises(ValueError, match=r'lacks 2 of the .* head.final_layer.weight'):
        load_fitting(build_pose_model(hrnet_config(8, keypoints=20)), path)


def test_the_backbone_alone_loads_by_init_cfg(narrow, tmp_path):
    """As hpml-2023 fine-tunes: the last layer is drawn anew."""
    config = hrnet_config(8)
    checkpoint = str(saved({f'module.{k}': v for k, v in narrow.items()}, tmp_path))
    config['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=checkpoint)
    model = build_pose_model(config)
    model.init_weights()
    own = model.state_dict()
    taken = [n for n in narrow if 'final_layer' not in n]
    assert all(torch.equal(own[f'backbone.{name}'], narrow[name]) for name in taken)
    assert not torch.equal(own['head.final_layer.weight'], narrow['final_layer.weight'])


def test_mmposes_own_checkpoints_stay_as_they_are():
    model = build_pose_model(hrnet_config(8))
    state, report = weights_for(model, {'state_dict': model.state_dict()}, 'a.pth')
    assert report is None
    assert state.keys() == model.state_dict().keys()
