# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The sources' input pipelines, on faces that the test draws."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from hpml_mm.benchmark.sources import (
    DEFAULTS,
    source_loader,
    training_folder,
)


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


def test_hpml_2023_gives_normalised_images_of_224(faces):
    torch.manual_seed(0)
    loader = source_loader('hpml-2023', faces / 'train', None, 0)
    ((images, labels),) = loader
    assert (images.shape, images.dtype) == ((6, 3, 224, 224), torch.float32)
    # A uniform face survives flip, blur and sharpening: only its brightness is left.
    expected = (2 * 40 * torch.arange(6) / 255 - 1).tolist()
    assert sorted(images[:, 1, 100, 50].tolist()) == pytest.approx(expected, abs=0.01)
    assert images.amax((1, 2, 3)).tolist() == images.amin((1, 2, 3)).tolist()
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_light_fer_gives_grey_crops_of_44(faces):
    ((images, labels),) = source_loader('light-fer', faces / 'train', None, 0)
    assert (images.shape, images.dtype) == ((6, 1, 44, 44), torch.float32)
    assert sorted(images[:, 0, 0, 0].tolist()) == pytest.approx(
        (40 * torch.arange(6) / 255).tolist()
    )
    assert labels.dtype == torch.int64


def test_light_fer_holds_its_faces_in_memory(faces):
    data = source_loader('light-fer', faces / 'train', None, 0).dataset
    for path in (faces / 'train').rglob('*.png'):
        path.unlink()
    assert data.images.shape == (6, 48, 48)
    assert data[5][1] == 1


@pytest.mark.parametrize('name', DEFAULTS)
def test_loaders_have_the_sources_settings_unless_told_otherwise(faces, name):
    own = source_loader(name, faces / 'train', None, None)
    assert (own.batch_size, own.num_workers) == DEFAULTS[name]
    told = source_loader(name, faces / 'train', 3, 0)
    assert (told.batch_size, told.num_workers) == (3, 0)


def test_the_folder_is_that_of_the_config(faces):
    plain = dict(type='hpml_mm.FERFolderDataset', data_root=str(faces), split='train')
    wrapped = dict(type='hpml_mm.FaceArrayDataset', source=plain)
    for dataset in (plain, wrapped, dict(type='RepeatDataset', dataset=plain)):
        assert training_folder(config(dataset)) == faces / 'train'


@pytest.mark.parametrize('root', ['fer.csv', None])
def test_faces_in_no_folder_are_refused(faces, root):
    dataset = dict(type='hpml_mm.FERCSVDataset')
    if root:
        (faces / root).touch()
        dataset['data_root'] = str(faces / root)
    with pytest.raises(ValueError, match=r'test_sources\.py.*names no such folder'):
        training_folder(config(dataset))


def test_a_folder_without_a_training_split_is_refused(faces):
    (faces / 'train').rename(faces / 'val')
    with pytest.raises(ValueError, match='has no folder "train"'):
        training_folder(config(dict(data_root=str(faces))))
