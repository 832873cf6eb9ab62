# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import re
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from hpml_mm.datasets import FERFolderDataset
from hpml_mm.datasets.fer.classes import FER_CLASSES
from hpml_mm.datasets.image_io import BrokenImageError
from hpml_mm.datasets.transforms import LoadFace
from hpml_mm.registry import DATASETS


def items(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def truncate(path):
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    data = cv2.imencode('.jpg', image)[1].tobytes()
    path.write_bytes(data[: len(data) // 2])


def test_labels_go_by_name_not_by_folder_order(tmp_path, make_split):
    # Alphabetical order would make Neutral 4, Sad 5 and Surprise 6.
    lower = tuple(name.lower() for name in FER_CLASSES)
    make_split(tmp_path / 'train', names=lower)
    faces = FERFolderDataset(str(tmp_path), 'train')
    assert faces.metainfo['classes'] == FER_CLASSES
    assert faces.get_gt_labels().tolist() == [i for i in range(7) for _ in 'ab']
    for item in items(faces):
        assert lower[item['gt_label']] in item['img_path']
        assert item['split'] == 'train'


def test_builds_from_a_config_with_mmpretrain_transforms(tmp_path, make_split):
    make_split(tmp_path / 'train')
    cfg = {
        'type': 'hpml_mm.FERFolderDataset',
        'data_root': str(tmp_path),
        'pipeline': [
            {'type': 'hpml_mm.LoadFace'},
            {'type': 'mmpretrain.RandomCrop', 'crop_size': 44},
            {'type': 'mmcv.RandomFlip', 'prob': 0.5},
            {'type': 'mmpretrain.PackInputs', 'meta_keys': ('img_path', 'split')},
        ],
    }
    data = DATASETS.build(cfg)[13]
    assert data['inputs'].shape == (1, 44, 44)
    assert data['inputs'].unique().tolist() == [61]
    assert data['data_samples'].gt_label.tolist() == [6]
    assert data['data_samples'].split == 'train'


def test_csv_names_of_splits_and_lists(tmp_path, make_split):
    make_split(tmp_path / 'PublicTest', per_class=1)
    make_split(tmp_path / 'PrivateTest', per_class=2)
    both = FERFolderDataset(str(tmp_path), ['test', 'val'])
    assert [item['split'] for item in items(both)] == ['test'] * 14 + ['val'] * 7
    # Absent ones of a list are left out, but not all of them.
    assert len(FERFolderDataset(str(tmp_path), ['train', 'val'])) == 7
    with pytest.raises(ValueError, match="no split 'train'; it has: val, test"):
        FERFolderDataset(str(tmp_path), 'train')


def test_a_lone_train_folder_is_not_split_unasked(tmp_path, make_split):
    make_split(tmp_path / 'Train', per_class=10)
    assert len(FERFolderDataset(str(tmp_path), 'train')) == 70
    with pytest.raises(ValueError, match="no split 'val'.*layout='single'"):
        FERFolderDataset(str(tmp_path), 'val')


def test_single_layout_splits_each_class_by_the_same_share(tmp_path, make_split):
    make_split(tmp_path / 'Train', per_class=10)
    root = str(tmp_path)
    train = items(FERFolderDataset(root, 'train', layout='single', val_ratio=0.2))
    val = items(FERFolderDataset(root, 'val', layout='single', val_ratio=0.2))
    assert Counter(item['gt_label'] for item in train) == dict.fromkeys(range(7), 8)
    assert Counter(item['gt_label'] for item in val) == dict.fromkeys(range(7), 2)
    paths = [item['img_path'] for item in train + val]
    assert len(set(paths)) == 70
    assert {item['split'] for item in val} == {'val'}


def test_single_layout_depends_on_the_seed_alone(tmp_path, make_split):
    make_split(tmp_path / 'Train', per_class=10)

    def chosen(seed):
        faces = FERFolderDataset(
            str(tmp_path), 'val', layout='single', val_ratio=0.3, split_seed=seed
        )
        return [item['img_path'] for item in items(faces)]

    assert chosen(0) == chosen(0)
    assert chosen(0) != chosen(1)


def test_single_layout_needs_a_single_folder(tmp_path, make_split):
    make_split(tmp_path / 'train')
    make_split(tmp_path / 'val')
    with pytest.raises(ValueError, match="holds: train, val; use layout='splits'"):
        FERFolderDataset(str(tmp_path), 'val', layout='single')


def test_train_and_test_as_kaggle_has_them(tmp_path, make_split):
    """What the error advises is what works."""
    make_split(tmp_path / 'train', per_class=10)
    make_split(tmp_path / 'test', per_class=3)
    root = str(tmp_path)
    message = "no split 'val'; it has: train, test. .* train, set layout='single'[.]$"
    with pytest.raises(ValueError, match=message):
        FERFolderDataset(root, 'val')
    sizes = {
        split: len(FERFolderDataset(root, split, layout='single'))
        for split in ('train', 'val', 'test')
    }
    assert sizes == {'train': 63, 'val': 7, 'test': 21}
    # There is nothing to make val of.
    (tmp_path / 'train').rename(tmp_path / 'other')
    with pytest.raises(ValueError, match="no split 'val'; it has: test[.]$"):
        FERFolderDataset(root, 'val')
    with pytest.raises(ValueError, match="holds: test; use layout='splits'"):
        FERFolderDataset(root, 'test', layout='single')


def test_too_few_files_for_a_validation_share(tmp_path, make_split):
    make_split(tmp_path / 'Train', per_class=1)
    with pytest.raises(ValueError, match="'Angry' has 1 files, too few"):
        FERFolderDataset(str(tmp_path), 'val', layout='single')


def test_wrong_class_folders_are_named(tmp_path, make_split):
    train = make_split(tmp_path / 'train')
    (train / 'Hapy').mkdir()
    with pytest.raises(ValueError, match="unknown class.*Hapy.*did you mean 'Happy'"):
        FERFolderDataset(str(tmp_path), 'train')
    (train / 'Hapy').rmdir()

    (train / 'sad').mkdir(exist_ok=True)
    if (train / 'sad').samefile(train / 'Sad'):
        pytest.skip('this file system knows no case')
    with pytest.raises(ValueError, match="both the class 'Sad'"):
        FERFolderDataset(str(tmp_path), 'train')
    (train / 'sad').rmdir()

    for file in (train / 'Fear').iterdir():
        file.unlink()
    with pytest.raises(ValueError, match='no image in class folder .*Fear'):
        FERFolderDataset(str(tmp_path), 'train')
    (train / 'Fear').rmdir()
    with pytest.raises(ValueError, match='train has no class folder Fear'):
        FERFolderDataset(str(tmp_path), 'train')


def test_stray_files_are_ignored_and_told(tmp_path, make_split, messages):
    train = make_split(tmp_path / 'train')
    (tmp_path / 'README.txt').touch()
    (train / 'Thumbs.db').touch()
    (train / '.ipynb_checkpoints').mkdir()
    for name in ('Thumbs.db', '.DS_Store', '._0.png'):
        (train / 'Sad' / name).touch()
    assert len(FERFolderDataset(str(tmp_path), 'train')) == 14
    assert not messages

    (train / 'Sad' / 'notes.txt').touch()
    assert len(FERFolderDataset(str(tmp_path), 'train')) == 14
    assert len(messages) == 1
    assert "Sad: ignored 1 entries that are no image, such as 'notes" in messages[0]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'split': 'trian'}, "unknown split 'trian' .*did you mean 'train'"),
        ({'split': ['val', 'PublicTest']}, "split 'val' is named twice"),
        ({'split': []}, 'split is empty'),
        ({'layout': 'flat'}, "'splits' or 'single', not 'flat'"),
        ({'val_ratio': 1.0}, 'between 0 and 1, not 1.0'),
        ({'on_error': 'ignore'}, "'raise' or 'skip', not 'ignore'"),
        ({'split': 'val', 'drop_crossing': True}, 'training split only'),
        ({'classes': ['a', 'b']}, "order are fixed to .*says .'a', 'b'"),
    ],
)
def test_impossible_arguments(tmp_path, make_split, arguments, message):
    make_split(tmp_path / 'train')
    with pytest.raises(ValueError, match=message):
        FERFolderDataset(str(tmp_path), **arguments)


def test_a_missing_root_is_named():
    with pytest.raises(FileNotFoundError, match="'/no/such/root'.*HPML_MM_DATA"):
        FERFolderDataset('/no/such/root')


def test_a_truncated_image_ends_the_run_with_its_name(tmp_path, make_split):
    broken = make_split(tmp_path / 'train') / 'Sad' / '0.jpg'
    truncate(broken)
    faces = FERFolderDataset(str(tmp_path), pipeline=[LoadFace()])
    loader = DataLoader(faces, batch_size=3, num_workers=2, collate_fn=pseudo_collate)
    batches = iter(loader)
    with pytest.raises(BrokenImageError) as caught:
        list(batches)
    # Left to the garbage collector, each worker takes five seconds to stop.
    batches._shutdown_workers()
    # One line, not a worker's traceback.
    assert str(caught.value).startswith(f'{broken} is truncated')
    assert '\n' not in str(caught.value)


def test_a_truncated_image_is_left_out_and_counted(tmp_path, make_split, messages):
    train = make_split(tmp_path / 'train')
    truncate(train / 'Sad' / '0.jpg')
    (train / 'Fear' / '1.jpg').touch()
    faces = FERFolderDataset(str(tmp_path), pipeline=[LoadFace()], on_error='skip')
    assert faces.num_skipped == 2
    assert len(messages) == 1
    assert re.search(r'left out 2 damaged items, .*Fear/1\.jpg is empty', messages[0])
    loader = DataLoader(faces, batch_size=3, num_workers=2, collate_fn=pseudo_collate)
    paths = [path for batch in loader for path in batch['img_path']]
    # Every whole image comes exactly once: none is put in a broken one's place.
    assert len(paths) == len(set(paths)) == 14
    assert not any(path.endswith('.jpg') for path in paths)


def test_training_can_leave_crossing_duplicates_out(tmp_path, make_split):
    make_split(tmp_path / 'train', per_class=3)
    make_split(tmp_path / 'val', per_class=1)  # grey 0, 10, ... 60
    faces = FERFolderDataset(str(tmp_path), drop_crossing=True)
    assert faces.num_crossing == 7
    assert {item['img_path'][-5:] for item in items(faces)} == {'1.png', '2.png'}
    # A list of both splits would keep the copies, so it is refused.
    with pytest.raises(ValueError, match='training split only'):
        FERFolderDataset(str(tmp_path), ['train', 'val'], drop_crossing=True)


def test_nothing_to_compare_with_is_an_error(tmp_path, make_split):
    make_split(tmp_path / 'train')
    with pytest.raises(ValueError, match='nothing to compare with'):
        FERFolderDataset(str(tmp_path), drop_crossing=True)


@pytest.mark.slow
@pytest.mark.real_data
def test_fer2013_has_its_known_counts(real_data):
    root = str(real_data / 'fer2013')
    train = FERFolderDataset(root, 'train', drop_crossing=True)
    val = FERFolderDataset(root, 'val')
    counts = Counter(val.get_gt_labels().tolist())
    assert len(val) == 3589
    assert [counts[i] for i in range(7)] == [467, 56, 496, 895, 653, 415, 607]
    assert len(train) + train.num_crossing == 28709
    assert train.num_crossing == 351
    for label, name in ((4, 'Sad'), (5, 'Surprise'), (6, 'Neutral')):
        index = val.get_gt_labels().tolist().index(label)
        assert f'/val/{name}/PublicTest_' in val.get_data_info(index)['img_path']
