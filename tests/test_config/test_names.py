# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.config.names import LeafName, parse_leaf_name


def test_a_full_name():
    name = 'mini-xception_2xb64-bf16-sgd-nesterov-channels-last-workers8-24e_'
    assert parse_leaf_name(f'configs/fer/{name}fer2013-csv-44px.py') == LeafName(
        model='mini-xception',
        gpus=2,
        batch_size=64,
        epochs=24,
        dataset='fer2013-csv',
        px=44,
        variants={
            'precision': 'bf16',
            'optimizer': 'sgd-nesterov',
            'memory_format': 'channels-last',
            'workers': 'workers8',
        },
    )


def test_what_is_not_named_is_absent():
    name = parse_leaf_name('efficientnet-b0_1xb16-30e_fer2013-224px.py')
    assert name.variants == {}
    assert (name.gpus, name.batch_size, name.epochs, name.px) == (1, 16, 30, 224)


@pytest.mark.parametrize(
    ('variant', 'axis'),
    [
        ('sgd', 'optimizer'),
        ('sgd-nesterov', 'optimizer'),
        ('adam', 'optimizer'),
        ('adamax', 'optimizer'),
        ('step', 'schedule'),
        ('step-tuned', 'schedule'),
        ('workers16', 'workers'),
    ],
)
def test_a_variant_is_not_taken_for_a_shorter_one(variant, axis):
    name = parse_leaf_name(f'm_1xb8-{variant}-3e_d-8px.py')
    assert name.variants == {axis: variant}


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('m_1xb8-3e.py', '2 parts between "_"'),
        ('M_1xb8-3e_d-8px.py', "the model part 'M'"),
        ('m_b8-3e_d-8px.py', "the training part 'b8-3e' is not of the form {GPUS}xb"),
        ('m_1xb8_d-8px.py', "the training part '1xb8'"),
        ('m_1xb8-3e_d-8.py', "the data part 'd-8' is not of the form {dataset}-{px}px"),
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
