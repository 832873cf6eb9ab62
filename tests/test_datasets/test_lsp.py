# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Persons of LSP, LSPET and MPII: made files in the published form, and real LSPET."""

import json

import cv2
import numpy as np
import pytest
from mmpose.datasets import MpiiDataset
from scipy.io import savemat

from hpml_mm.cli import main
from hpml_mm.datasets import LSPETDataset
from hpml_mm.datasets.pose.lsp import published
from hpml_mm.datasets.pose.lsp.published import box_of_joints, convert_poses

WIDTH, HEIGHT = 60, 40


def joints(persons=2):
    """Shape (14, 3, N): joint k of person n at (10 + k, 12 + n), all flags 0."""
    found = np.zeros((14, 3, persons))
    found[:, 0] = 10 + np.arange(14)[:, None]
    found[:, 1] = 12 + np.arange(persons)
    return found


def images(folder, names):
    (folder / 'images').mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(
            str(folder / 'images' / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        )


@pytest.fixture
def lspet(tmp_path):
    """Two persons as LSPET has them; the ankles of the first are not seen."""
    made = joints()
    made[:, 2] = 1
    made[[0, 5], :, 0] = [[-3, -4, 0], [-3, -4, 0]]
    savemat(tmp_path / 'joints.mat', {'joints': made})
    images(tmp_path, ['im00001.jpg', 'im00002.jpg'])
    return tmp_path / 'joints.mat'


@pytest.fixture
def lsp(tmp_path, monkeypatch):
    """Three persons as LSP has them, two for training; the second's head is hidden."""
    monkeypatch.setattr(published, 'LSP_TRAIN', 2)
    made = joints(3).transpose(1, 0, 2)
    made[2, 13, 1] = 1
    savemat(tmp_path / 'joints.mat', {'joints': made})
    images(tmp_path, [f'im000{n}.jpg' for n in (1, 2, 3)])
    return tmp_path / 'joints.mat'


def read(folder, name, **options):
    prefix = {'img': 'images/'}
    return LSPETDataset(name, data_root=str(folder), data_prefix=prefix, **options)


def test_joints_swap_in_a_mirror_and_keep_their_half_of_the_body():
    info = LSPETDataset(lazy_init=True).metainfo
    names = [info['keypoint_id2name'][index] for index in range(14)]
    assert names[::6] == ['right_ankle', 'right_wrist', 'neck']
    for index, other in enumerate(info['flip_indices']):
        swap = {'right': 'left', 'left': 'right'}
        side, _, joint = names[index].partition('_')
        assert names[other] == (
            f'{swap[side]}_{joint}' if side in swap else names[index]
        )
        # Both of a pair are placed as exactly, and weigh as much.
        assert info['sigmas'][other] == info['sigmas'][index]
        weights = info['dataset_keypoint_weights']
        assert weights[other] == weights[index]
    assert info['lower_body_ids'] == list(range(6))
    assert info['sigmas'][[0, 6, 12]] == pytest.approx([0.089, 0.062, 0.026])


def test_lspet_as_published(lspet, capsys):
    out = lspet.with_name('lspet_train.json')
    main(['data', 'convert', str(lspet), '--out', str(out)])
    assert capsys.readouterr().out == f'wrote 2 persons to {out}, left out 0\n'
    first, second = read(lspet.parent, out.name)
    assert first['img_path'].endswith('images/im00001.jpg')
    assert first['keypoints_visible'].tolist() == [[0, 1, 1, 1, 1, 0] + [1] * 8]
    assert first['keypoints'][0, 1].tolist() == [11, 12]
    assert second['keypoints'][0, 13].tolist() == [23, 13]
    # From 11 to 23 and from 12 to 12: 15 % and 5 pixels more on each side.
    x, y, right, bottom = first['bbox'][0].tolist()
    assert (x, y) == pytest.approx((11 - 6.8, 7), abs=1e-5)
    assert (right, bottom) == pytest.approx((23 + 6.8, 17), abs=1e-5)


def test_lsp_as_published(lsp):
    assert convert_poses(lsp, lsp.with_name('train.json'), split='train') == (2, 0)
    assert convert_poses(lsp, lsp.with_name('test.json'), split='test') == (1, 0)
    assert convert_poses(lsp, lsp.with_name('all.json')) == (3, 0)
    content = json.loads(lsp.with_name('train.json').read_text())
    seen = [a['keypoints'][2::3] for a in content['annotations']]
    assert seen == [[2] * 14, [2] * 13 + [1]]  # hidden, with a place
    names = [image['file_name'] for image in content['images']]
    assert names == ['im0001.jpg', 'im0002.jpg']
    (last,) = read(lsp.parent, 'test.json')
    assert last['img_path'].endswith('im0003.jpg')


def test_a_box_ends_with_the_image():
    points = np.array([[1.0, 4.0], [51.0, 34.0]])
    # 7.5 + 5 and 4.5 + 5 pixels beyond the joints, were there room.
    assert box_of_joints(points, (60, 60)) == [0, 0, 60, 43.5]


def structs(records):
    """MATLAB's array of structs, in which each has the same fields."""
    names = list(records[0])
    made = np.empty((1, len(records)), [(name, object) for name in names])
    for index, record in enumerate(records):
        made[0, index] = tuple(record[name] for name in names)
    return made


def mpii(folder):
    """Two training images, with two persons and without one, and a test image."""
    points = structs(
        [{'x': 5.0 + k, 'y': 7.0, 'id': k, 'is_visible': k % 2} for k in range(15)]
    )
    nothing, center = np.zeros((0, 0)), {'x': 11, 'y': 12}
    whole = {'scale': 0.1, 'objpos': center, 'annopoints': {'point': points}}
    one = {**whole, 'annopoints': {'point': points[:, 3]}}
    head = {'scale': nothing, 'objpos': nothing, 'annopoints': nothing}
    tested = {'scale': 0.2, 'objpos': center, 'annopoints': nothing}
    rects = [structs([whole, one, head]), nothing, tested]
    annolist = structs(
        [
            {'image': {'name': f'{n}.jpg'}, 'annorect': rect}
            for n, rect in enumerate(rects)
        ]
    )
    release = {'annolist': annolist, 'img_train': [1, 1, 0], 'version': '12'}
    savemat(folder / 'mpii.mat', {'RELEASE': release})
    return folder / 'mpii.mat'


def test_mpii_as_published(tmp_path):
    source, out = mpii(tmp_path), tmp_path / 'mpii_train.json'
    assert convert_poses(source, out, split='train') == (2, 1)
    first, second = json.loads(out.read_text())
    assert first['image'] == second['image'] == '0.jpg'
    assert (first['center'], first['scale']) == ([11, 12], 0.1)
    # The sixteenth joint has no place; hidden ones have.
    assert first['joints'][14:] == [[19, 7], [-1, -1]]
    assert first['joints_vis'] == [1] * 15 + [0]
    assert second['joints_vis'] == [0] * 3 + [1] + [0] * 12
    info = MpiiDataset(str(out), data_prefix={'img': 'images/'})[0]
    assert info['bbox_scale'].tolist() == [[20, 20]]  # pixels
    with pytest.raises(ValueError, match="no person of 'test' that can be used"):
        convert_poses(source, tmp_path / 'mpii_test.json', split='test')
    assert not (tmp_path / 'mpii_test.json').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'poses': [1]}, "holds poses, neither LSP's and LSPET's 'joints' nor"),
        ({}, 'holds nothing, neither'),
        ({'joints': np.zeros((16, 3, 2))}, r'shape \(16, 3, 2\), not LSP'),
        ({'joints': np.full((14, 3, 2), np.nan)}, r'joint 0 of image 1 is \[nan'),
        (
            {'joints': np.full((3, 14, 2), 2)},
            r'joint 0 of image 1 is .*, not x, y and 0',
        ),
        ({'RELEASE': {'img_train': 1}}, "has no 'annolist' where MPII has one"),
        ({'RELEASE': 3}, "has no 'annolist'"),
        (
            {
                'RELEASE': {
                    'annolist': {'image': {'name': '1.jpg'}},
                    'img_train': [0, 1],
                }
            },
            '2 marks img_train for 1 images',
        ),
        (
            {'RELEASE': {'annolist': {'annorect': 1}, 'img_train': 1}},
            "has no 'image' where",
        ),
        (
            {
                'RELEASE': {
                    'annolist': {'image': {'name': '1.jpg'}, 'annorect': [1, 2]},
                    'img_train': 1,
                }
            },
            r'image 1\.jpg has \[.* where MPII has structs',
        ),
        ({'RELEASE': {'annolist': 3, 'img_train': 1}}, 'where MPII has structs'),
    ],
)
def test_other_content_is_named(tmp_path, content, message):
    savemat(tmp_path / 'a.mat', content)
    with pytest.raises(ValueError, match=message):
        convert_poses(tmp_path / 'a.mat', tmp_path / 'a.json')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'id': 16}, '0.jpg: a joint has the id 16, not 0 to 15'),
        ({'x': np.zeros((0, 0))}, '0.jpg has the point'),
        ({'y': np.inf}, '0.jpg has the point .*inf'),
    ],
)
def test_a_bad_joint_of_mpii_is_named(tmp_path, change, message):
    point = {'x': 1, 'y': 2, 'id': 3} | change
    rect = {'scale': 1, 'objpos': {'x': 1, 'y': 2}, 'annopoints': {'point': point}}
    annolist = {'image': {'name': '0.jpg'}, 'annorect': rect}
    release = {'annolist': annolist, 'img_train': 1}
    savemat(tmp_path / 'a.mat', {'RELEASE': release})
    with pytest.raises(ValueError, match=message):
        convert_poses(tmp_path / 'a.mat', tmp_path / 'a.json')


def test_a_damaged_file_and_an_absent_one_are_named(lspet, tmp_path):
    whole = lspet.read_bytes()
    for length in (0, 3, 100, 130, 200, len(whole) - 9):
        (tmp_path / 'cut.mat').write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'cut\.mat is no whole MATLAB file'):
            convert_poses(tmp_path / 'cut.mat', tmp_path / 'a.json')
    with pytest.raises(FileNotFoundError, match=r'there is no file .*gone\.mat'):
        convert_poses(tmp_path / 'gone.mat', tmp_path / 'a.json')


def test_an_image_that_cannot_be_read_is_named_or_left_out(lspet, tmp_path):
    (tmp_path / 'images' / 'im00002.jpg').write_bytes(b'\xff\xd8')
    out = tmp_path / 'a.json'
    with pytest.raises(FileNotFoundError, match=r'im00002\.jpg that can be read'):
        convert_poses(lspet, out)
    assert convert_poses(lspet, out, on_error='skip') == (1, 1)
    with pytest.raises(FileExistsError, match='exists already'):
        convert_poses(lspet, out, on_error='skip')
    with pytest.raises(FileNotFoundError, match=r'elsewhere/im00001\.jpg'):
        convert_poses(lspet, tmp_path / 'b.json', images=tmp_path / 'elsewhere')


def test_words_of_the_command_that_do_not_go_together(lspet, tmp_path, capsys):
    for words, message in (
        ([lspet, '--out', 'a.csv'], 'a.csv must end in .json'),
        ([tmp_path, '--out', 'a.csv', '--split', 'train'], '--split and --images are'),
    ):
        with pytest.raises(SystemExit):
            main(['data', 'convert', *map(str, words)])
        assert message in capsys.readouterr().err


def made(folder, number):
    """An annotation file of so many persons, without images to look at."""
    savemat(folder / 'joints.mat', {'joints': joints(number).transpose(1, 0, 2)})
    images(folder, [f'im{n + 1:04d}.jpg' for n in range(number)])
    convert_poses(folder / 'joints.mat', folder / 'all.json')


def test_the_split_divides_the_images_by_a_seed(tmp_path):
    made(tmp_path, 10)
    parts = {
        (split, seed): [
            each['img_id'] for each in read(tmp_path, 'all.json', **options)
        ]
        for split in ('train', 'val')
        for seed in (0, 1)
        if (options := {'split': split, 'seed': seed})
    }
    for seed in (0, 1):
        train, val = parts['train', seed], parts['val', seed]
        assert (len(train), len(val)) == (8, 2)
        assert sorted(train + val) == list(range(1, 11))
    assert parts['val', 0] != parts['val', 1]
    assert len(read(tmp_path, 'all.json', split='val', share=0.5)) == 5
    assert len(read(tmp_path, 'all.json')) == 10


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'valid'}, "split is 'valid'; take 'train', 'val' or None"),
        ({'share': 1}, 'share is 1; it is between 0 and 1'),
    ],
)
def test_an_impossible_split_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        LSPETDataset(lazy_init=True, **options)


@pytest.mark.real_data
def test_real_lspet(real_data):
    folder = real_data / 'lspet'
    train, val = (
        read(folder, 'lspet_train.json', split=split) for split in ('train', 'val')
    )
    assert (len(train), len(val)) == (800, 200)
    # Boxes were derived from the joints as conversion does.
    for info in val:
        raw = info['raw_ann_info']
        points = np.reshape(raw['keypoints'], (14, 3))[:, :2]
        size = cv2.imread(info['img_path']).shape[1::-1]
        assert box_of_joints(points, size) == pytest.approx(raw['bbox'], abs=0.021)
