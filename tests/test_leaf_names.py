# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from leaf_names import parse_leaf_name


def test_heatmaps_that_are_no_quarter_are_named():
    name = parse_leaf_name('td-hm_res50_1xb64-20e_cats-128x96-hm64x48.py')
    assert (name.size, name.heatmap) == ((128, 96), (64, 48))
    assert name.experiment == ''


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('m_1xb8-3e.py', '2 parts between "_"'),
        ('M_1xb8-3e_d-8px.py', "the model part 'M'"),
        ('m_b8-3e_d-8px.py', "the training part 'b8-3e' is not of the form {GPUS}xb"),
        ('m_1xb8_d-8px.py', "the training part '1xb8'"),
        ('m_1xb8-3e_d-8.py', "the data part 'd-8' is not of the form {dataset}-{px}px"),
        ('a_m_1xb8-3e_d-8px.py', "the data part 'd-8px' is not of the form"),
        ('e1_a_m_1xb8-3e_d-8x8.py', "the experiment part 'e1' is not of the form"),
        ('m_1xb8-chanels-last-3e_d-8px.py', "did you mean 'channels-last'"),
        ('m_1xb8-adamx-workers8-3e_d-8px.py', "at 'adamx-workers8'; did you mean"),
        ('m_1xb8-zebra-3e_d-8px.py', "unknown variant at 'zebra'; known: pretrained"),
        ('m_1xb8-adam-bf16-3e_d-8px.py', "precision at 'bf16' is out of order"),
        ('m_1xb8-adam-sgd-3e_d-8px.py', "optimizer at 'sgd' is out of order or there"),
    ],
)
def test_a_bad_name_is_an_error_that_shows_the_place(name, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_leaf_name(name)
    assert message in str(caught.value)
    assert name in str(caught.value)
