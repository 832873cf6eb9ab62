# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The loaders, on faces that the test draws."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from projects.fer_input.loaders import hpml_2023, light_fer, training_folder


@pytest.fixture
def faces(tmp_path):
    """Six faces in two classes; the face with index i is uniformly 40 i bright."""
    for index in range(6):
        folder = tmp_path / 'fer' / 'train' / ('Angry' if index < 3 else 'Happy')
        folder.mkdir(parents=True, exist_ok=True)
        face = np.full((48, 48), 40 * index, np.uint8)
        Image.fromarray(face).save(folder / f'{index}.png')
    return tmp_path / 'fer'


def config(dataset):
    return Config(dict(train_dataloader=dict(dataset=dataset)), filename=__file__)


def of_folder(root):
    return dict(type='hpml_mm.FERFolderDataset', data_root=str(root), split='train')


def test_hpml_2023_gives_normalised_images_of_224(faces):
    torch.manual_seed(0)
    ((images, labels),) = hpml_2023(config(of_folder(faces)), None, 0)
    assert (images.shape, images.dtype) == ((6, 3, 224, 224), torch.float32)
    # A uniform face survives flip, blur and sharpening: only its brightness is left.
    expected = (2 * 40 * torch.arange(6) / 255 - 1).tolist()
    assert sorted(images[:, 1, 100, 50].tolist()) == pytest.approx(expected, abs=0.01)
    assert images.amax((1, 2, 3)).tolist() == images.amin((1, 2, 3)).tolist()
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_light_fer_gives_grey_crops_of_44_from_memory(faces):
    loader = light_fer(config(of_folder(faces)), None, 0)
    for path in (faces / 'train').rglob('*.png'):
        path.unlink()
    ((images, labels),) = loader
    assert (images.shape, images.dtype) == ((6, 1, 44, 44), torch.float32)
    assert sorted(images[:, 0, 0, 0].tolist()) == pytest.approx(
        (40 * torch.arange(6) / 255).tolist()
    )
    assert labels.dtype == torch.int64
    assert loader.dataset[5][1] == 1


@pytest.mark.parametrize(('make', 'own'), [(hpml_2023, (16, 4)), (light_fer, (128, 1))])
def test_loaders_have_the_projects_settings_unless_told_otherwise(faces, make, own):
    for told, found in (((None, None), own), ((3, 0), (3, 0))):
        loader = make(config(of_folder(faces)), *told)
        assert (loader.batch_size, loader.num_workers) == found


def test_the_folder_is_that_of_the_config(faces):
    plain = of_folder(faces)
    wrapped = dict(type='hpml_mm.FaceArrayDataset', source=plain)
    for dataset in (plain, wrapped, dict(type='RepeatDataset', dataset=plain)):
        assert training_folder(config(dataset)) == faces / 'train'


@pytest.mark.parametrize('root', ['fer.csv', None])
def test_faces_in_no_folder_are_refused(faces, root):
    dataset = dict(type='hpml_mm.FERCSVDataset')
    if root:
        (faces / root).touch()
        dataset['data_root'] = str(faces / root)
    with pytest.raises(ValueError, match=r'test_fer_input\.py.*train_dataloader'):
        training_folder(config(dataset))


def test_a_folder_without_a_training_split_is_refused(faces):
    (faces / 'train').rename(faces / 'val')
    with pytest.raises(ValueError, match='has no folder "train"'):
        training_folder(config(of_folder(faces)))
