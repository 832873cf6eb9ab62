# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv
import json

import pytest

from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.tables import Row, read_table

OFA, MACRO, CELLS = 'ofa-mbv3-w1.0', 'nas-bench-macro', 'nas-bench-201'
TRANSNAS, DAGS = 'transnas-macro', 'nas-bench-101'
DAG_HEAD = 'adjacency_7x7_row_major,ops,val_accuracy,snip,flops,params\n'
OFA_HEAD = 'arch,acc,macs,params,n\n'
RECORD = {'test_acc': [1, 2, 3], 'mean_acc': 92.5, 'std': 0.1, 'params': 5, 'flops': 7}


def written(tmp_path, text):
    path = tmp_path / 'table'
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('mark', ['', '\ufeff'])  # spreadsheets put it before the text
@pytest.mark.parametrize(
    ('space', 'text', 'rows'),
    [
        (
            OFA,
            OFA_HEAD + '7-6;5-6,77.5,424,68,1\n3-3;3-3,70,1,2,4\n',
            [
                Row('7-6;5-6', {'imagenet/top1(%)': 77.5, 'macs': 424, 'params': 68}),
                Row('3-3;3-3', {'imagenet/top1(%)': 70, 'macs': 1, 'params': 2}),
            ],
        ),
        ('ofa-pn-w1.3', 'note,arch\nmine,7-6\n', [Row('7-6', {})]),
        (
            CELLS,
            'arch,cellstr,cifar10-test,cifar100-val\n5,|none~0|,84.25,10\n',
            [Row('|none~0|', {'cifar10/top1(%)': 84.25, 'cifar100-val/top1(%)': 10})],
        ),
        (
            TRANSNAS,
            'arch_str,op0,class_scene,normal,room_layout,flops_M_normal,'
            'params_M_class_scene\n'
            'a,1,51.25,.5,-.625,230.383744,1.293023\nb,1,,.25, ,0.1,\n',
            [
                Row(
                    'a',
                    {
                        'class_scene/top1(%)': 51.25,
                        'normal/ssim(1)': 0.5,
                        'room_layout/neg_loss(1)': -0.625,
                        'normal/table_flops': 230383744,
                        'class_scene/params': 1293023,
                    },
                ),
                # What is empty is not there, and not 0.
                Row('b', {'normal/ssim(1)': 0.25, 'normal/table_flops': 100000}),
            ],
        ),
        (
            DAGS,
            DAG_HEAD + '0100,input output,83.5,9,140.416,0.88257\n',
            [
                Row(
                    '0100 input output',
                    {
                        'cifar10-val/top1(%)': 83.5,
                        'table_flops': 140416000,
                        'params': 882570,
                    },
                )
            ],
        ),
        (
            MACRO,
            json.dumps({'00000000': RECORD}),
            [Row('00000000', {'cifar10/top1(%)': 92.5, 'params': 5, 'macs': 7})],
        ),
    ],
)
def test_a_table_of_each_kind_is_read(tmp_path, space, text, rows, mark):
    assert read_table(written(tmp_path, mark + text), space) == rows


@pytest.mark.parametrize(
    ('space', 'text', 'message'),
    [
        (OFA, OFA_HEAD + 'a,1,2,3,4\nb,x,2,3,4\n', "line 3, column 'acc': 'x'"),
        (OFA, OFA_HEAD + 'a,nan,2,3,4\n', "line 2, column 'acc': 'nan'"),
        (OFA, OFA_HEAD + 'a,1,2\n', 'line 2: it has not the 5 columns'),
        (OFA, OFA_HEAD + 'a,1,2,3,4,5\n', 'line 2: it has not the 5'),
        (OFA, OFA_HEAD + ' ,1,2,3,4\n', "line 2: column 'arch' is empty"),
        (OFA, 'acc,n\n1,2\n', "no column 'arch' .* there are acc, n"),
        (OFA, '', "no column 'arch' .* there are none"),
        (OFA, 'arch,n,arch\na,1,b\n', "several columns 'arch': remove"),
        (OFA, 'acc,arch,acc\n1,a,2\n', "several columns 'acc': remove"),
        (
            OFA,
            'arch\n"' + 'a' * (csv.field_size_limit() + 1),
            'cannot be read as CSV: field larger',
        ),
        (CELLS, 'arch,acc\n1,2\n', "no column 'cellstr'"),
        (TRANSNAS, 'arch,jigsaw\n1,2\n', "no column 'arch_str'"),
        (TRANSNAS, 'arch_str,jigsaw\na,n/a\n', "line 2, column 'jigsaw': 'n/a'"),
        (TRANSNAS, 'arch_str,jigsaw,jigsaw\na,1,\n', "several columns 'jigsaw'"),
        (DAGS, 'ops,params\n1,2\n', "no column 'adjacency_7x7_row_major'"),
        (DAGS, DAG_HEAD + '0100,,1,2,3,4\n', "line 2: column 'ops' is empty"),
        (MACRO, '{"00000000":\n 1,}', 'line 2, column 4: not JSON'),
        (MACRO, '[1]', 'an object with a member for each network'),
        (MACRO, '{"00000000": 1}', "network '00000000': its record"),
        (MACRO, '{"0": {"mean_acc": 1}}', 'no flops, params in its record'),
        (
            MACRO,
            json.dumps({'0': {**RECORD, 'flops': 'many'}}),
            "network '0', 'flops': 'many' is no number",
        ),
    ],
)
def test_a_malformed_table_is_an_error_that_names_the_line(
    tmp_path, space, text, message
):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as error:
        read_table(path, space)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('space', [OFA, MACRO])
def test_a_table_that_is_not_utf8_is_an_error(tmp_path, space):
    path = tmp_path / 'latin.csv'
    path.write_bytes('arch\nä\n'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'latin\.csv: byte 5 is not UTF-8'):
        read_table(path, space)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ('space', 'file', 'count', 'metrics'),
    [
        (OFA, 'ofa_mbv3_w1.0_imagenet.csv', 1862, 3),
        (MACRO, 'nas_bench_macro_cifar10.json', 6000, 3),
        (CELLS, 'nasbench201_12epoch.csv', 14000, 6),
        # Without the scores and costs of two tasks for 49 networks.
        (TRANSNAS, 'tnb101_macro_7tasks.csv', 580, (21, 15)),
        ('transnas-micro', 'tnb101_micro_7tasks.csv', 566, 21),
        (DAGS, 'nb101_400.csv', 400, 3),
    ],
)
def test_real_tables_are_read_whole(real_data, space, file, count, metrics):
    rows = read_table(real_data / 'nas' / file, space)
    assert len(rows) == count
    found = [len(row.metrics) for row in rows]
    assert set(found) == set(metrics if isinstance(metrics, tuple) else [metrics])
    assert found.count(15) in (0, 49)
    space = get_space(space)
    for row in rows[::10]:
        space.decode(row.arch)
