# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import cv2
import numpy as np
import pytest
import torch
from deploy_models import (
    CATS,
    FACES,
    FACES_ARRAY,
    LARGE_FACES,
    build_leaf,
    leaf,
)
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import DATASETS, DefaultScope

from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engine_model import model_of
from hpml_mm.deploy.steps import SCOPES, ImageReader, metainfo_of, steps_of


def picture(path, width, height, grey=False):
    """A picture of coloured noise; lossless."""
    shape = (height, width) if grey else (height, width, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def network_inputs(name, path, box=None):
    """What the network gets by the config, and by the description in a file."""
    cfg, model = leaf(name), build_leaf(name)
    spec = spec_of(cfg, model)
    described = spec.from_json(spec.to_json(), 'a file')
    pose = described.pose
    found = []
    for steps, scope, metainfo, own in (
        (steps_of(cfg), cfg.default_scope, metainfo_of(cfg), model),
        (
            described.pipeline,
            SCOPES[described.task],
            pose.metainfo if pose else None,
            model_of(described, print),
        ),
    ):
        item = ImageReader(steps, scope, metainfo)(path, box)
        found.append(own.data_preprocessor(pseudo_collate([item]))['inputs'])
    return found


@pytest.mark.parametrize('name', [FACES, FACES_ARRAY, LARGE_FACES, CATS])
@pytest.mark.parametrize('size', [(48, 48), (100, 75)])
def test_config_and_description_give_the_same_input(tmp_path, name, size):
    path = picture(tmp_path / 'a.png', *size, grey=size == (48, 48))
    box = (10, 5, 40, 45) if name == CATS else None
    found = network_inputs(name, path, box)
    one, other = (torch.stack(list(inputs)) for inputs in found)
    assert torch.equal(one, other)
    assert one.std() > 0.1
    if name == CATS:
        assert one.shape == (1, 3, 96, 96)
        elsewhere = network_inputs(name, path, (20, 5, 48, 48))
        assert not torch.equal(elsewhere[0], one)


def test_a_large_face_is_made_as_small_as_those_of_the_data(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    cv2.imwrite(str(tmp_path / 'small.png'), small)
    large = cv2.resize(small, (96, 96), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / 'large.png'), large)
    read = ImageReader(steps_of(leaf(FACES)), 'mmpretrain')
    first, second = (read(tmp_path / f'{n}.png')['inputs'] for n in ('small', 'large'))
    assert torch.equal(first, torch.from_numpy(small[None, 2:46, 2:46]))
    assert torch.equal(first, second)


def test_targets_and_repetitions_are_left_out_and_validation_does_for_a_test():
    cfg = leaf(CATS)
    target = dict(type='mmpose.GenerateTarget', encoder=cfg.codec)
    cfg.test_dataloader.dataset.pipeline.insert(3, target)
    kinds = ['LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs']
    assert [step['type'] for step in steps_of(cfg)] == kinds
    inner = cfg.val_dataloader.dataset
    cfg.test_dataloader = None
    cfg.val_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    assert steps_of(cfg) == steps_of(leaf(CATS))
    assert metainfo_of(cfg)['dataset_name'] == 'ap10k_cat'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'type': 'hpml_mm.BatchRandomFlip'}, 'BatchRandomFlip, which has no'),
        (None, 'has no pipeline'),
    ],
)
def test_data_without_steps_for_one_image(change, message):
    cfg = leaf(FACES_ARRAY)
    data = cfg.test_dataloader.dataset
    if change is None:
        data.type = 'Other'
    else:
        data.augment.append(change)
    with pytest.raises(ValueError, match=message):
        steps_of(cfg)


def test_asking_for_names_tells_no_metric_of_another_file():
    hub = MessageHub.get_current_instance()
    hub.update_info('ap10k_cat_ann_file', 'of the run')
    cfg = leaf(CATS)
    cfg.val_dataloader.dataset.bbox_file = 'detected.json'
    cfg.test_dataloader = None
    assert metainfo_of(cfg)['num_keypoints'] == 17
    assert hub.get_info('ap10k_cat_ann_file') == 'of the run'


@pytest.mark.real_data
@pytest.mark.parametrize('name', [FACES, LARGE_FACES, CATS, FACES_ARRAY])
def test_real_images_become_the_inputs_of_a_test(name, real_data, tmp_path):
    cfg = leaf(name)
    settings = dict(cfg.val_dataloader.dataset)
    if name == FACES_ARRAY:
        settings['cache_dir'] = str(tmp_path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        data = DATASETS.build(settings)
    metainfo = None if name == FACES_ARRAY else metainfo_of(cfg)
    read = ImageReader(steps_of(cfg), cfg.default_scope, metainfo)
    for index in (0, len(data) // 2, len(data) - 1):
        info = data.get_data_info(index)
        item = read(info['img_path'], info.get('bbox'))
        assert torch.equal(item['inputs'], data[index]['inputs'])


def test_a_checkpoint_names_the_classes_that_its_data_set_found(tmp_path):
    """A data set of plain folders has none until it looks at them."""
    cfg = leaf(FACES)
    cfg.test_dataloader.dataset = {
        'type': 'mmpretrain.CustomDataset',
        'data_root': str(tmp_path / 'gone'),
        'pipeline': cfg.test_dataloader.dataset.pipeline,
    }
    path = str(tmp_path / 'a.pth')
    meta = {'dataset_meta': {'classes': ('blue', 'red')}}
    torch.save({'meta': meta, 'state_dict': {}}, path)
    assert not metainfo_of(cfg).get('classes')
    assert metainfo_of(cfg, path)['classes'] == ('blue', 'red')
    # The config's own names come first.
    cfg.test_dataloader.dataset['metainfo'] = {'classes': ('a', 'b')}
    assert tuple(metainfo_of(cfg, path)['classes']) == ('a', 'b')
