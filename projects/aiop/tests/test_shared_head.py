# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from hpml_mm.config.overrides import load_config
from hpml_mm.predictor.spaces import get_space
from hpml_mm.runner import build_runner
from projects.aiop.archs import ArchPool, depth_bin, extreme_arch
from projects.aiop.shared_head import LatentBody, LoadLatent, SwappedBody
from projects.aiop.shared_head.__main__ import _samples, main
from projects.aiop.shared_head.bodies import estimate_statistics, subnet_body
from projects.aiop.shared_head.latents import latents, save_latents

CONFIGS = Path(__file__).parents[1] / 'configs'
NAME = 'ofa-mbv3-w1.0'


@pytest.fixture(scope='module')
def space():
    return get_space(NAME)


@pytest.fixture(scope='module')
def largest(space):
    return extreme_arch(space, max)


@pytest.fixture(scope='module')
def supernet(space, largest, tmp_path_factory):
    """A checkpoint of random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('supernet') / 'supernet.pth'
    net = space.build(largest)
    # Without statistics maps would vanish on the way.
    estimate_statistics(net, torch.randn(8, 3, 32, 32))
    torch.save({'state_dict': net.state_dict()}, path)
    return path


@pytest.fixture(scope='module')
def weights(supernet):
    return torch.load(supernet)['state_dict']


@pytest.mark.parametrize(
    ('name', 'shape', 'number'),
    [
        (NAME, {'ks': 3, 'e': 3, 'd': [2, 2, 2, 2, 3]}, 0),
        (NAME, {'ks': 3, 'e': 3, 'd': [2, 2, 2, 3, 3]}, 1),
        (NAME, {'ks': 3, 'e': 3, 'd': [4, 4, 2, 2, 2]}, 2),
        (NAME, {'ks': 3, 'e': 3, 'd': [4, 4, 4, 2, 3]}, 3),
        (NAME, {'ks': 3, 'e': 3, 'd': [4, 4, 4, 4, 3]}, 4),
        ('ofa-pn-w1.3', {'ks': 3, 'e': 3, 'd': [2, 2, 2, 2, 2, 1]}, 0),
        ('ofa-pn-w1.3', {'ks': 3, 'e': 3, 'd': [4, 4, 4, 4, 4, 1]}, 4),
        ('ofa-resnet50', {'d': [2, 2, 2, 2, 2], 'e': 0.25, 'w': 1}, 4),
        ('ofa-resnet50', {'d': [0, 1, 1, 0, 0], 'e': 0.25, 'w': 1}, 1),
    ],
)
def test_bins_are_counted_from_the_fewest_blocks(name, shape, number):
    space = get_space(name)
    assert depth_bin(space, space.decode(shape)) == number


def test_a_space_without_depths_is_refused():
    space = get_space('nas-bench-201')
    arch = space.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match='nas-bench-201'):
        depth_bin(space, arch)


def test_the_oldest_network_gives_way_to_one_of_the_next_bin(space):
    pool = ArchPool(space, 2, np.random.default_rng(0))
    bins = [depth_bin(space, arch) for arch in pool.archs]
    assert bins == [0, 1, 2, 3, 4] * 2
    second = pool.archs[1]
    for number in (0, 1, 2):
        new = pool.step()
        assert depth_bin(space, new) == number
        assert pool.archs[-1] == new
        assert len(pool.archs) == 10
    assert second not in pool.archs
    # One leaves from each bin in turn, so that all bins stay as full.
    assert set(Counter(depth_bin(space, a) for a in pool.archs).values()) == {2}
    with pytest.raises(ValueError, match='per_bin=0'):
        ArchPool(space, 0, np.random.default_rng(0))


@torch.no_grad()
def test_latents_are_mean_and_unbiased_deviation_over_networks(space, weights):
    images = torch.randn(1, 3, 32, 32)
    batch = ([7], images, images.flip(-1))
    found = dict(latents([batch], space, weights, per_bin=1, seed=5))
    pool = ArchPool(space, 1, np.random.default_rng(5))
    for flipped, name in ((False, 'plain'), (True, 'flipped')):
        seen = images.flip(-1) if flipped else images
        maps = [subnet_body(space, arch, weights)(seen)[-1][0] for arch in pool.archs]
        mean = sum(maps) / 5
        deviation = (sum((one - mean) ** 2 for one in maps) / 4).sqrt()
        torch.testing.assert_close(
            found[f'7/{name}/mean'].float(), mean, rtol=2e-3, atol=1e-4
        )
        torch.testing.assert_close(
            found[f'7/{name}/std'].float(), deviation, rtol=2e-3, atol=1e-4
        )
    assert len(found) == 4


@torch.no_grad()
def test_a_network_is_replaced_after_each_batch(space, weights):
    images = torch.randn(1, 3, 32, 32)
    seen = (images, images)
    found = dict(latents([([1], *seen), ([2], *seen)], space, weights, 1, 0))
    assert not torch.equal(found['1/plain/mean'], found['2/plain/mean'])
    both = [images.repeat(2, 1, 1, 1)] * 2
    again = dict(latents([([1, 2], *both)], space, weights, 1, 0))
    assert torch.equal(again['1/plain/mean'], again['2/plain/mean'])


@pytest.mark.real_data
def test_mirrored_images_are_those_that_training_sees(few):
    cfg = load_config(str(CONFIGS / PLAIN), few)
    cfg.train_dataloader.dataset.pipeline = [
        dict(step, prob=1.0) if step.type == 'RandomFlip' else step
        for step in cfg.train_dataloader.dataset.pipeline
        if step.type != 'RandomBBoxTransform'
    ]
    init_default_scope('mmpose')
    numbers, mirrored = _samples(cfg, 'train', flipped=True)
    data = DATASETS.build(cfg.train_dataloader.dataset)
    processor = MODELS.build(cfg.model.data_preprocessor)
    assert len(numbers) == len(data) == 8
    for index, image in enumerate(mirrored):
        seen = processor({'inputs': [data[index]['inputs']], 'data_samples': []})
        assert torch.equal(seen['inputs'][0], image)


@pytest.mark.real_data
def test_a_config_without_crops_is_refused(few):
    cfg = load_config(str(CONFIGS / PLAIN), few)
    del cfg.val_dataloader.dataset.pipeline[2]
    with pytest.raises(ValueError, match='lspet-128x128.py: .* no TopdownAffine'):
        _samples(cfg, 'val', flipped=True)


@torch.no_grad()
def test_statistics_are_those_of_the_images(space, weights, largest):
    body = subnet_body(space, largest, weights)
    images = torch.randn(8, 3, 32, 32) * 3 + 1
    estimate_statistics(body, images)
    stem = body.first_conv
    expected = stem.conv(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(stem.bn.running_mean, expected)
    assert not body.training
    assert stem.bn.momentum == 0.1


@pytest.fixture
def cache(tmp_path):
    """Latents of sample 3: the mirror image's mean is 10 higher."""
    path = tmp_path / 'latents.safetensors'
    found = []
    for name, mean in (('plain', 1.0), ('flipped', 11.0)):
        found += [(f'3/{name}/mean', torch.full((2, 4, 4), mean).half())]
        found += [(f'3/{name}/std', torch.full((2, 4, 4), 2.0).half())]
    assert save_latents(path, found) == 1
    return path


def test_a_latent_takes_the_place_of_the_image(cache):
    load = LoadLatent(str(cache), sampled=False)
    assert load({'id': 3})['img'].shape == (4, 4, 2)
    assert (load({'id': 3})['img'] == 1).all()
    assert (load({'id': 3, 'flip': True})['img'] == 11).all()


def test_sampled_latents_have_the_mean_and_the_deviation(cache):
    np.random.seed(0)
    load = LoadLatent(str(cache))
    drawn = np.stack([load({'id': 3})['img'] for _ in range(300)])
    # 9,600 values: four standard errors.
    assert drawn.mean() == pytest.approx(1, abs=0.09)
    assert drawn.std() == pytest.approx(2, abs=0.06)


def test_a_cache_of_other_images_or_none_is_named(cache, tmp_path):
    with pytest.raises(ValueError, match='sample 4'):
        LoadLatent(str(cache))({'id': 4})
    cache.write_bytes(cache.read_bytes()[:40])
    with pytest.raises(ValueError, match=cache.name):
        LoadLatent(str(cache))({'id': 3})
    with pytest.raises(FileNotFoundError, match='gone'):
        LoadLatent(str(tmp_path / 'gone'))


def test_a_swapped_body_changes_after_some_batches(supernet):
    body = SwappedBody(NAME, str(supernet), interval=2)
    torch.manual_seed(0)  # how small BatchNorm's epsilon is depends on the images
    images = torch.randn(4, 3, 32, 32)
    body.train()
    maps = [body(images)[-1] for _ in range(4)]
    assert torch.equal(maps[0], maps[1])
    assert torch.equal(maps[2], maps[3])
    assert not torch.equal(maps[1], maps[2])
    again = SwappedBody(NAME, str(supernet), interval=2).train()
    again.load_state_dict({'batches': torch.tensor(3)})
    assert torch.equal(again(images)[-1], maps[3])
    assert not maps[0].requires_grad
    assert not list(body.parameters())
    # The same network, the largest, whatever was trained on.
    assert torch.equal(body.eval()(images)[-1], body(images)[-1])
    # Brighter images have the same maps: a batch is normalised by itself.
    shifted = body(5 * images)[-1]
    assert torch.allclose(shifted, body(images)[-1], atol=0.02)
    with pytest.raises(ValueError, match='interval=0'):
        SwappedBody(NAME, str(supernet), interval=0)
    assert LatentBody()(images)[0] is images


@pytest.mark.parametrize(
    'path',
    [path for path in sorted(CONFIGS.glob('*.py')) if not path.name.startswith('aiop')],
    ids=lambda path: path.stem,
)
def test_the_name_of_a_leaf_tells_batch_length_and_size(path):
    batch, epochs, size = re.search(r'_1xb(\d+)-.*?(\d+)e_.*-(\d+)', path.stem).groups()
    cfg = load_config(str(path))
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.train_cfg.max_epochs == int(epochs)
    sizes = [
        step.get('input_size', step.get('scale'))
        for step in cfg.train_dataloader.dataset.pipeline
        if 'input_size' in step or step.type == 'RandomResizedCrop'
    ]
    assert sizes in ([int(size)], [(int(size), int(size))])
    body = cfg.model.get('backbone', {})
    assert (body.get('type') == 'hpml_mm.SwappedBody') == ('swapped' in path.stem)
    # What a leaf starts from is what another leaf writes by default.
    for found in (body.get('supernet'), cfg.model.get('head', {}).get('init_cfg')):
        if found:
            file = Path(found if isinstance(found, str) else found['checkpoint'])
            assert (CONFIGS / f'{file.parent.name}.py').is_file()


PLAIN = '../../../configs/lspet_pose/'
PLAIN += 'td-hm_mobilenet-v2_1xb32-channels-last-12e_lspet-128x128.py'


@pytest.fixture
def few(tmp_path, real_data):
    """Options that leave ten of LSPET's images, eight of them for training."""
    content = json.loads((real_data / 'lspet/lspet_train.json').read_text())
    content['images'] = content['images'][:10]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [
        one for one in content['annotations'] if one['image_id'] in kept
    ]
    path = tmp_path / 'few.json'
    path.write_text(json.dumps(content))
    parts = ('train', 'val', 'test')
    return {f'{part}_dataloader.dataset.ann_file': str(path) for part in parts}


def run(leaf: str, tmp_path: Path, options: dict) -> Path:
    """Train a leaf for an epoch of four batches, and return its checkpoint."""
    cfg: Config = load_config(str(CONFIGS / leaf), options)
    cfg.work_dir = str(tmp_path / Path(leaf).stem)
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    build_runner(cfg).train()
    return next(Path(cfg.work_dir).glob('best_*.pth'))


@pytest.mark.slow
@pytest.mark.real_data
def test_both_heads_train_and_a_network_starts_from_one(tmp_path, few, supernet):
    leaf = 'shared-head-swapped_1xb32-12e_lspet-128x128.py'
    run(leaf, tmp_path, {**few, 'model.backbone.supernet': str(supernet)})

    words = ['--supernet', str(supernet), '--out', str(tmp_path), '--per-bin', '1']
    options = [f'{key}={value}' for key, value in few.items()]
    main([str(CONFIGS / PLAIN), *words, '--batch', '8', '--cfg-options', *options])
    for part, place in (('train', 5), ('val', 3)):
        key = f'{part}_dataloader.dataset.pipeline.{place}.cache'
        few[key] = str(tmp_path / f'{part}.safetensors')
    found = run('shared-head-sampled_1xb256-100e_lspet-128x128.py', tmp_path, few)
    head = torch.load(found, weights_only=False)['state_dict']
    assert all(name.startswith('head.') for name in head)

    arch = {'ks': 3, 'e': 3, 'd': 2}
    body = {'_delete_': True, 'type': 'hpml_mm.OFANet', 'space': 'mbv3', 'arch': arch}
    cfg = load_config(
        str(CONFIGS / 'td-hm_shared-head_1xb32-3e_lspet-128x128.py'),
        {
            'model.head.init_cfg.checkpoint': str(found),
            'model.head.in_channels': 960,
            'model.backbone': body,
        },
    )
    cfg.work_dir = str(tmp_path / 'tuned')
    model = build_runner(cfg).model
    model.init_weights()
    for name, tensor in model.head.state_dict().items():
        assert torch.equal(tensor, head[f'head.{name}'])
