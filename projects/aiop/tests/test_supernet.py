# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmpretrain.models import MobileNetV2

from hpml_mm.config.overrides import load_config
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.runner import build_runner
from projects.aiop.supernet import FeatureR2, ImageFiles, SupernetDistiller

ROOT = Path(__file__).parents[3]
CONFIG = 'supernet_1xb48-distill-40e_ofa-mbv3-w1.0-96px.py'
MOBILENET_V3 = 'ofa-mbv3-w1.0'


def preprocessor(std=127.5):
    return dict(type='mmpretrain.ClsDataPreprocessor', mean=[127.5] * 3, std=[std] * 3)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A MobileNetV2 whose statistics and factors are no zeros and ones."""
    torch.manual_seed(0)
    net = MobileNetV2(norm_cfg=dict(type='BN', eps=1e-3))
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, std=0.1)
    path = tmp_path_factory.mktemp('teacher') / 'mobilenet_v2.pth'
    torch.save({f'backbone.{k}': v for k, v in net.state_dict().items()}, path)
    return str(path)


def distiller(checkpoint, space=MOBILENET_V3, std=127.5, **settings):
    torch.manual_seed(1)
    model = SupernetDistiller(
        space, checkpoint, data_preprocessor=preprocessor(std), **settings
    )
    model.init_weights()
    return model


@torch.no_grad()
def test_the_largest_proxylessnas_computes_what_its_teacher_does(checkpoint):
    model = distiller(checkpoint, 'ofa-pn-w1.3').eval()
    images = torch.randn(2, 3, 64, 64)
    targets = model._targets(images)
    for found, target in zip(model(images), targets, strict=True):
        first = found[:, : target.shape[1]]
        torch.testing.assert_close(first, target, atol=1e-3, rtol=1e-3)
    assert model.r2(model(images), targets).tolist() == pytest.approx(
        [1] * model.maps, abs=1e-4
    )


@torch.no_grad()
def test_images_of_another_scale_are_the_teachers_again(checkpoint):
    # Ten times smaller: the first convolution is that much larger.
    plain = distiller(checkpoint, 'ofa-pn-w1.3').first_conv.conv.weight
    scaled = distiller(checkpoint, 'ofa-pn-w1.3', std=1275.0).first_conv.conv.weight
    torch.testing.assert_close(scaled[:32], plain[:32] * 10)


def test_the_widest_layers_channels_are_sorted_by_importance(checkpoint):
    model = distiller(checkpoint)
    projection = model.get_submodule('blocks.2.conv.point_linear').conv.weight
    norms = projection[:24].abs().sum(dim=(0, 2, 3))
    assert (norms.diff() <= 0).all()
    assert norms[-1] > 0
    # MobileNetV2 has two blocks in this stage: the third adds nothing.
    last = model.get_submodule('blocks.3.conv.point_linear').bn.weight
    assert last.abs().max() == 0


@pytest.fixture(scope='module')
def trained(checkpoint):
    """A supernet after some steps on the same images, and what was logged."""
    model = distiller(checkpoint, sampled=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    wrapper = OptimWrapper(optimizer)
    torch.manual_seed(2)
    data = dict(inputs=[torch.rand(3, 32, 32) * 255 for _ in range(4)])
    return model, [model.train_step(data, wrapper) for _ in range(4)]


def test_all_networks_of_the_sandwich_learn_from_the_same_images(trained):
    _, logged = trained
    assert set(logged[0]) == {
        *('loss', 'loss_largest', 'loss_smallest', 'loss_sampled0')
    }
    for name in ('loss_largest', 'loss_smallest'):
        assert logged[-1][name] < logged[0][name]


def test_a_training_that_goes_on_draws_the_networks_that_were_next(
    checkpoint, monkeypatch
):
    drawn = []
    features = SupernetDistiller.features

    def noted(self, arch, images, batch_norm=False):
        drawn.append(self.space.encode(arch))
        return features(self, arch, images, batch_norm)

    monkeypatch.setattr(SupernetDistiller, 'features', noted)
    data = dict(inputs=[torch.rand(3, 32, 32) * 255 for _ in range(2)])

    def train(model, steps):
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
        for _ in range(steps):
            model.train_step(data, wrapper)
        return model

    state = train(distiller(checkpoint, sampled=2).train(), 2).state_dict()
    train(distiller(checkpoint, sampled=2).train(), 3)
    whole = drawn[8:]
    assert len({*whole[2:4], *whole[6:8], *whole[10:12]}) == 6
    other = distiller(checkpoint, sampled=2).train()
    other.load_state_dict(state)
    train(other, 1)
    assert drawn[-4:] == whole[-4:]


def test_only_the_largest_network_keeps_statistics(trained):
    model, logged = trained
    assert model.first_conv.bn.num_batches_tracked == len(logged)
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert not model.teacher.training


@torch.no_grad()
def test_its_checkpoint_is_a_supernet_without_the_teacher(trained, tmp_path):
    model = trained[0].eval()
    assert not [name for name in model.state_dict() if 'teacher' in name]
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    arch = model.space.sample(np.random.default_rng(3))
    body = OFANet(MOBILENET_V3, arch, out_indices=range(7), supernet=str(path))
    body.init_weights()
    images = torch.randn(1, 3, 32, 32)
    for found, wanted in zip(
        body.eval()(images), model.features(arch, images), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_validation_scores_networks_by_their_own_statistics(trained):
    model = trained[0].eval()
    images = torch.randn(4, 3, 32, 32)
    tracked = model.first_conv.bn.running_mean.clone()
    scores = model(images, mode='predict')
    assert len(scores) == 4
    names = {'largest', 'smallest', 'sampled'}
    assert scores[0].keys() == names | {f'{name}/last_map' for name in names}
    assert all(value < 1 for value in scores[0].values())
    assert torch.equal(model.first_conv.bn.running_mean, tracked)
    metric = FeatureR2()
    metric.process(None, [{'largest': 0.5}, {'largest': 0.1}])
    assert metric.compute_metrics(metric.results) == {'largest': pytest.approx(0.3)}


@torch.no_grad()
def test_a_model_that_is_loaded_alone_has_its_teacher(checkpoint):
    whole = distiller(checkpoint).eval()
    loaded = SupernetDistiller(
        MOBILENET_V3, checkpoint, data_preprocessor=preprocessor()
    ).eval()
    loaded.load_state_dict(whole.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert loaded(images, mode='predict') == whole(images, mode='predict')


def test_r2_is_the_share_of_the_variance_of_each_map(checkpoint):
    model = distiller(checkpoint)
    model.aim = torch.nn.Identity()
    target = torch.tensor([[[[-1.0, 1.0]]], [[[-1.0, 1.0]]]])  # variance 4/3
    none, whole = torch.zeros_like(target), target.clone()
    # Nothing of the first map: error 1 of 4/3; the second has a channel too many.
    wide = torch.cat([whole, whole + 5], dim=1)
    assert model.r2((none, wide), [target, target]).tolist() == pytest.approx([0.25, 1])


def test_another_space_or_no_scale_is_refused(checkpoint):
    with pytest.raises(ValueError, match='nas-bench-201'):
        SupernetDistiller('nas-bench-201', checkpoint, data_preprocessor=preprocessor())
    with pytest.raises(ValueError, match='mean'):
        SupernetDistiller(MOBILENET_V3, checkpoint)


def test_several_processes_would_train_the_largest_alone(checkpoint):
    with pytest.raises(ValueError, match='one process'):
        distiller(checkpoint)(torch.zeros(1, 3, 32, 32), mode='loss')


def listed(path, *names):
    path.write_text(json.dumps({'images': [{'file_name': name} for name in names]}))
    return str(path)


def test_images_of_a_validation_part_are_left_out(tmp_path):
    first = listed(tmp_path / 'a.json', 'a.jpg', 'b.jpg')
    second = listed(tmp_path / 'b.json', 'c.jpg')
    hidden = listed(tmp_path / 'c.json', 'b.jpg')
    found = ImageFiles([(first, 'one'), (second, 'two')], without=[hidden])
    paths = [found.get_data_info(i)['img_path'] for i in range(len(found))]
    assert paths == ['one/a.jpg', 'two/c.jpg']
    with pytest.raises(ValueError, match='no image'):
        ImageFiles([(hidden, 'one')], without=[first])


def test_lists_that_are_missing_or_none_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.json'):
        ImageFiles([(str(tmp_path / 'gone.json'), 'one')])
    (tmp_path / 'a.json').write_text('{"images": [{"name": "a.jpg"}]}')
    with pytest.raises(ValueError, match='a.json'):
        ImageFiles([(str(tmp_path / 'a.json'), 'one')])


@pytest.mark.slow
def test_the_leaf_trains_on_images_of_no_validation_part(tmp_path, real_data):
    cfg = load_config(
        str(ROOT / 'projects/aiop/configs' / CONFIG),
        {
            'train_cfg.max_epochs': 1,
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.batch_sampler.type': 'hpml_mm.LimitedBatchSampler',
            'train_dataloader.batch_sampler.num_batches': 1,
            'val_dataloader.batch_size': 2,
            'val_dataloader.batch_sampler.type': 'hpml_mm.LimitedBatchSampler',
            'val_dataloader.batch_sampler.num_batches': 1,
        },
    )
    cfg.work_dir = str(tmp_path)
    runner = build_runner(cfg)
    data = runner.train_dataloader.dataset
    found = {Path(data.get_data_info(i)['img_path']).name for i in range(len(data))}
    parts = ['voc_animals/annotations/instances_val', 'cats/annotations/cats20_val']
    for part in parts:
        images = json.loads((real_data / f'{part}.json').read_text())['images']
        assert not found & {image['file_name'] for image in images}
    before = runner.model.first_conv.conv.weight.clone()
    runner.train()
    assert (tmp_path / 'best_r2_sampled_epoch_1.pth').is_file()
    metrics = json.loads((tmp_path / 'summary.json').read_text())['metrics']
    names = [f'r2/{name}' for name in ('largest', 'smallest', 'sampled')]
    assert {*metrics} == {*names, *(f'{name}/last_map' for name in names)}
    assert not torch.equal(runner.model.first_conv.conv.weight, before)
