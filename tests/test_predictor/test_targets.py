# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Labels on a predictor's scale, against the formulas with numbers worked by hand."""

import pytest
import torch

from hpml_mm.predictor.gnn.targets import SCALINGS, TargetScaler, flops_factor

LABELS = torch.tensor([70.0, 74.0, 78.0], dtype=torch.float64)
# t = 2, 3 and 4: log10(F + 1) + 1 for F of 9, 99 and 999 billions.
MACS = torch.tensor([9e9, 99e9, 999e9], dtype=torch.float64)


def test_flops_factor():
    assert flops_factor(MACS).tolist() == [2.0, 3.0, 4.0]
    assert flops_factor(torch.zeros(1)).item() == 1.0


def test_stand_has_the_spread_of_the_population():
    scaled = TargetScaler('stand').fit(LABELS, MACS).transform(LABELS, MACS)
    step = 0.04 / (2 * 0.04**2 / 3) ** 0.5
    assert scaled.tolist() == pytest.approx([-step, 0, step])


def test_stand_flops_divides_first():
    scaler = TargetScaler('stand_flops').fit(LABELS, MACS)
    ratios = torch.tensor([0.35, 0.74 / 3, 0.195], dtype=torch.float64)
    assert scaler.mean.item() == pytest.approx(ratios.mean().item())
    assert scaler.spread.item() == pytest.approx(ratios.std(correction=0).item())
    expected = (ratios - scaler.mean) / scaler.spread
    assert scaler.transform(LABELS, MACS).tolist() == pytest.approx(expected.tolist())


def test_flops_and_none_need_no_labels():
    flops, plain = TargetScaler('flops'), TargetScaler('none')
    assert flops.transform(LABELS, MACS).tolist() == pytest.approx(
        [0.35, 0.74 / 3, 0.195]
    )
    assert plain.transform(LABELS, MACS).tolist() == pytest.approx([0.7, 0.74, 0.78])


@pytest.mark.parametrize('scaling', SCALINGS)
def test_inverse_gives_the_labels_and_nothing_is_changed_in_place(scaling):
    labels = LABELS.clone()
    scaler = TargetScaler(scaling).fit(labels, MACS)
    back = scaler.inverse(scaler.transform(labels, MACS), MACS)
    assert back.tolist() == pytest.approx(LABELS.tolist(), abs=1e-4)
    assert torch.equal(labels, LABELS)


def test_the_flops_factor_can_reorder_and_standardising_cannot():
    outputs = torch.tensor([0.2, 0.1])
    macs = MACS[[0, 2]]
    stand = TargetScaler('stand').fit(LABELS, MACS).inverse(outputs, macs)
    flops = TargetScaler('stand_flops').fit(LABELS, MACS).inverse(outputs, macs)
    assert stand[0] > stand[1]
    assert flops[0] < flops[1]


def test_what_was_fitted_is_saved():
    scaler = TargetScaler('stand').fit(LABELS, MACS)
    other = TargetScaler('stand')
    other.load_state_dict(scaler.state_dict())
    assert torch.equal(
        other.inverse(torch.zeros(3), MACS), scaler.inverse(torch.zeros(3), MACS)
    )


def test_no_use_before_it_is_fitted():
    scaler = TargetScaler('stand')
    assert not scaler.fitted
    with pytest.raises(ValueError, match='not fitted: train the model'):
        scaler.inverse(torch.zeros(3), MACS)


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        ([70.0, 70.0], 'two labels that differ, got 2'),
        ([70.0], 'two labels that differ, got 1'),
        ([70.0, float('nan')], 'missing or not finite'),
    ],
)
def test_labels_that_have_no_scale(labels, message):
    labels = torch.tensor(labels)
    with pytest.raises(ValueError, match=message):
        TargetScaler('stand').fit(labels, torch.ones_like(labels))


def test_an_unknown_scaling():
    with pytest.raises(ValueError, match="'standard' is unknown; there are none, stan"):
        TargetScaler('standard')
