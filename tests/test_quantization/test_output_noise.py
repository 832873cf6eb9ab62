# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch

from hpml_mm.quantization.output_noise import output_sqnr, pixel_sqnr


def test_noise_is_summed_over_all_outputs():
    def exact(images):
        return images, 3 * images

    def rounded(images):
        return images + 0.1, 3 * images

    # Signal 1 + 9 for noise .01: 30 dB.
    batches = [torch.ones(2, 1, 1, 1)] * 2
    assert output_sqnr(exact, rounded, batches) == pytest.approx(30, abs=1e-4)


def test_pixels_are_off_by_a_twelfth_of_a_squared_level():
    # 12 levels of 1 / 2 and of 1 / 8: signal 144, noise 1 / 12 of a level squared.
    levels = torch.tensor([1 / 2, 1 / 8]).view(2, 1, 1)
    images = (12 * levels).expand(4, 2, 100, 100)
    expected = 10 * torch.tensor(144 * 12.0).log10().item()
    found = pixel_sqnr(lambda shaken: shaken / levels, [images], (2, 8))
    assert found == pytest.approx(expected, abs=0.1)
    assert pixel_sqnr(lambda shaken: shaken / levels, [images], (2, 8)) == found
