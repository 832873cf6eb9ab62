# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest

from hpml_mm.datasets import FERCSVDataset
from hpml_mm.datasets.transforms import LoadFace

ROWS = [
    (0, 10, 'Training'),
    (6, 20, 'Training'),
    (3, 30, 'PublicTest'),
    (1, 40, 'PrivateTest'),
]


def load(path, split='train', **kwargs):
    return FERCSVDataset(str(path.parent), split, ann_file=path.name, **kwargs)


def test_rows_become_splits(make_csv):
    path = make_csv(ROWS)
    train = load(path, 'train')
    assert train.get_gt_labels().tolist() == [0, 6]
    item = train.get_data_info(1)
    assert item['img'].dtype == np.uint8
    assert item['img'].shape == (48, 48)
    assert (item['img'] == 20).all()
    assert (item['split'], item['img_path']) == ('train', f'{path}, row 2')
    both = load(path, ['test', 'val'])
    assert [both.get_data_info(i)['split'] for i in range(2)] == ['test', 'val']
    assert both.get_gt_labels().tolist() == [1, 3]


def test_pixels_keep_their_order(make_csv):
    values = np.random.default_rng(0).integers(0, 256, 2304)
    path = make_csv([(0, ' '.join(map(str, values)), 'Training')])
    image = load(path).get_data_info(0)['img']
    np.testing.assert_array_equal(image, values.reshape(48, 48))


def test_the_header_of_icml_face_data(make_csv):
    path = make_csv([(4, 'Training', ' '.join(['7'] * 2304))], 'emotion, Usage, pixels')
    faces = load(path)
    assert faces.get_gt_labels().tolist() == [4]
    assert (faces.get_data_info(0)['img'] == 7).all()


def test_a_byte_order_mark_and_quotes(tmp_path):
    pixels = ' '.join(['5'] * 2304)
    path = tmp_path / 'x.csv'
    path.write_text(
        f'\ufeff"emotion","pixels","Usage"\r\n"2","{pixels}","Training"\r\n\r\n',
        encoding='utf-8',
    )
    assert load(path).get_gt_labels().tolist() == [2]


def test_the_pipeline_needs_no_file(make_csv):
    pipeline = [
        LoadFace('color'),
        {'type': 'mmcv.Resize', 'scale': 64},
        {'type': 'mmpretrain.PackInputs'},
    ]
    data = load(make_csv(ROWS), 'val', pipeline=pipeline)[0]
    assert data['inputs'].shape == (3, 64, 64)
    assert data['data_samples'].gt_label.tolist() == [3]
    assert data['data_samples'].ori_shape == (48, 48)


def pixels(first: str) -> str:
    return ' '.join([first] + ['0'] * 2303)


BAD_ROWS = [
    ((7, 0, 'Training'), "emotion is '7', not one of 0 to 6"),
    (('happy', 0, 'Training'), "emotion is 'happy'"),
    ((0, '1 2 3', 'Training'), 'pixels holds 3 values, not 2304'),
    ((0, pixels('256'), 'Training'), 'pixels holds 256, which is outside 0 to 255'),
    ((0, pixels('-1'), 'Training'), 'pixels holds -1, which is outside'),
    ((0, pixels('1.5'), 'Training'), "pixels holds '1.5', which is no integer"),
    ((0, pixels('0') + 'x', 'Training'), "pixels holds '0x', which is no integer"),
    ((0, 0, 'Trainign'), "Usage is 'Trainign', .*did you mean 'Training'"),
    ((0, 0, ''), "Usage is ''"),
]


@pytest.mark.parametrize(('row', 'message'), BAD_ROWS)
def test_a_bad_row_is_named(make_csv, row, message):
    path = make_csv([ROWS[0], row])
    with pytest.raises(ValueError, match=rf'fer2013\.csv, row 2: {message}'):
        load(path)


def test_a_short_row_is_named(make_csv):
    path = make_csv(ROWS[:1])
    path.write_text(path.read_text() + '3\n')
    with pytest.raises(ValueError, match='row 2: Usage is missing'):
        load(path)


def test_bad_rows_are_left_out_and_counted(make_csv):
    path = make_csv([row for row, _ in BAD_ROWS] + ROWS)
    faces = load(path, on_error='skip')
    assert faces.num_skipped == len(BAD_ROWS)
    assert faces.get_gt_labels().tolist() == [0, 6]
    # Rows keep the numbers they have in the file.
    assert faces.get_data_info(0)['img_path'].endswith(f'row {len(BAD_ROWS) + 1}')


def test_a_file_that_will_not_do(make_csv, tmp_path):
    path = make_csv(ROWS, header='emotion,pixels,Use')
    with pytest.raises(ValueError, match='no column Usage; its header has .*Use'):
        load(path)
    path.write_text('')
    with pytest.raises(ValueError, match='no column emotion or pixels or Usage'):
        load(path)
    with pytest.raises(FileNotFoundError, match=r"no CSV file '.*none\.csv'"):
        FERCSVDataset(str(tmp_path), ann_file='none.csv')
    path.write_bytes(b'emotion,pixels,Usage\n\xff\xfe,1,Training\n')
    with pytest.raises(ValueError, match='not a CSV file'):
        load(path)


def test_an_absent_split_is_named(make_csv):
    with pytest.raises(ValueError, match="csv has no split 'val'; it has: train"):
        load(make_csv(ROWS[:2]), 'val')


def test_crossing_rows_are_dropped(make_csv):
    path = make_csv([*ROWS, (2, 30, 'Training'), (2, 40, 'Training')])
    faces = load(path, drop_crossing=True)
    assert faces.num_crossing == 2
    assert faces.get_gt_labels().tolist() == [0, 6]
