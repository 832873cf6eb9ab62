# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A pose model's size is one, whatever is overridden."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpose.registry import KEYPOINT_CODECS

from hpml_mm.config.check import check_config
from hpml_mm.config.codec import shifted_peaks
from hpml_mm.config.overrides import load_config

STOCK = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)
UDP = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py'
)
SIMCC = 'mmpose::body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py'
LARGER = {'codec.input_size': [288, 384], 'codec.heatmap_size': [72, 96]}


def sizes(cfg):
    """Every input size of a config, by the place that holds it."""
    pipelines = {m: cfg[f'{m}_dataloader'].dataset.pipeline for m in ('train', 'val')}
    found = {'codec': cfg.codec, 'decoder': cfg.model.head.decoder}
    for mode, pipeline in pipelines.items():
        for step in pipeline:
            if step.type == 'TopdownAffine':
                found[f'{mode} affine'] = step
            if step.type == 'GenerateTarget':
                found[f'{mode} target'] = step.encoder
    return {place: tuple(part.input_size) for place, part in found.items()}


@pytest.mark.parametrize('config', [STOCK, UDP])
def test_one_override_reaches_every_copy(config):
    before, cfg = load_config(config), load_config(config, LARGER)
    assert set(sizes(before).values()) == {(192, 256)}
    assert sizes(cfg) == dict.fromkeys(sizes(before), (288, 384))
    assert len(sizes(cfg)) == 5
    for part in (cfg.codec, cfg.model.head.decoder):
        assert tuple(part.heatmap_size) == (72, 96)
        assert part.sigma == 2


def test_a_codec_without_heatmaps_has_no_stride_to_keep():
    cfg = load_config(SIMCC, {'codec.input_size': [96, 128]})
    assert set(sizes(cfg).values()) == {(96, 128)}


def test_an_input_without_its_heatmap_is_told_the_right_one():
    with pytest.raises(ValueError, match=r'set codec\.heatmap_size=72,96 too'):
        load_config(STOCK, {'codec.input_size': [288, 384]})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'codec.input_size': 96}, 'codec.input_size=96: give width and height'),
        ({'codec.heatmap_size': [0, 0]}, 'give width and height in pixels'),
        ({'codec.heatmap_size': [24]}, 'give width and height in pixels'),
        (
            {'codec.input_size': [144, 144], 'codec.heatmap_size': [36, 36]},
            r'input_size=\(144, 144\): take multiples of 32, as in \(192, 256\)',
        ),
    ],
)
def test_a_size_that_cannot_be_is_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        load_config(STOCK, options)


@pytest.mark.parametrize(
    'place',
    ['model.head.decoder', 'train_dataloader.dataset.pipeline.5'],
)
def test_an_override_of_one_copy_is_refused_of_a_stock_recipe_too(place):
    with pytest.raises(ValueError, match='change both, or codec.input_size alone'):
        load_config(STOCK, {f'{place}.input_size': [96, 128]})


def test_a_key_that_the_codec_has_not_got():
    with pytest.raises(ValueError, match="the codec has no 'input_sise'; it has heat"):
        load_config(STOCK, {'codec.input_sise': [288, 384]})


def test_other_settings_of_the_codec_may_change_alone():
    cfg = load_config(STOCK, {'codec.sigma': 3})
    assert cfg.model.head.decoder.sigma == 3
    assert [s.encoder.sigma for s in cfg.train_pipeline if 'encoder' in s] == [3]


@pytest.mark.parametrize(
    ('change', 'place'),
    [
        ('decoder', r'codec\.input_size is \(192, 256\), but model\.head\.decoder'),
        ('affine', r'train_dataloader\.dataset\.pipeline\.5\.input_size is \(96, 128'),
        ('target', r'pipeline\.6\.encoder\.heatmap_size is \(24, 32\), but'),
        (
            'codec',
            r'codec\.type is .UDPHeatmap., but model\.head\.decoder\.type is .MS',
        ),
    ],
)
def test_one_copy_alone_is_refused(change, place):
    cfg = Config(load_config(STOCK).to_dict())  # no longer a stock file's
    pipeline = cfg.train_dataloader.dataset.pipeline
    if change == 'decoder':
        cfg.model.head.decoder.input_size = (96, 128)
    elif change == 'affine':
        pipeline[5].input_size = (96, 128)
    elif change == 'target':
        pipeline[6].encoder = {**pipeline[6].encoder, 'heatmap_size': (24, 32)}
    else:
        cfg.codec = {**cfg.codec, 'type': 'UDPHeatmap'}
    with pytest.raises(ValueError, match=place):
        check_config(cfg)


def test_a_child_that_sets_the_variable_alone_is_refused(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = '{STOCK}'\ncodec = dict(input_size=(96, 128))\n")
    with pytest.raises(ValueError, match=r'codec\.input_size is \(96, 128\), but mod'):
        load_config(str(child))


def test_a_stock_recipe_that_contradicts_itself_is_only_warned_about(tmp_path):
    """It sets the codec to UDP and trains with its parent's."""
    stock = (
        'mmpose::fashion_2d_keypoint/topdown_heatmap/deepfashion/'
        'td-hm_hrnet-w32_udp_8xb64-210e_deepfashion_full-256x192.py'
    )
    log = tmp_path / 'log'
    logger = MMLogger.get_instance('codec', log_file=str(log))
    assert load_config(stock).model.head.decoder.type == 'MSRAHeatmap'
    logger.handlers[-1].flush()
    assert "codec.type is 'UDPHeatmap', but model.head.decoder" in log.read_text()


@pytest.mark.parametrize('kind', ['MSRAHeatmap', 'UDPHeatmap'])
def test_a_sigma_that_shifts_peaks_is_told_with_those_that_do_not(kind):
    """The told ones are those of which MMPose's own codec puts every peak right."""

    def shifts(sigma: float) -> bool:
        size = {'input_size': (32, 32), 'heatmap_size': (32, 32)}
        codec = KEYPOINT_CODECS.build({'type': kind, 'sigma': sigma, **size})
        points = np.array([[[i, j] for i in (1, 9, 16) for j in (2, 20, 30)]], float)
        maps = codec.encode(points, np.ones((1, 9)))['heatmaps']
        peaks = [divmod(int(one.argmax()), 32)[::-1] for one in maps]
        return [list(peak) for peak in peaks] != points[0].tolist()

    def told(sigma: float) -> bool:
        codec = {'type': kind, 'sigma': sigma}
        return shifted_peaks(Config({'codec': codec})) is not None

    sigmas = [0.7, 0.75, 1, 4 / 3, 1.4, 1.5, 5 / 3, 2, 7 / 3, 2.5, 3]
    assert [told(sigma) for sigma in sigmas] == [shifts(sigma) for sigma in sigmas]
    assert sum(map(told, sigmas)) == 5
    scoped = {'codec': {'type': f'mmpose.{kind}', 'sigma': 1.4}}
    assert shifted_peaks(Config(scoped)) is not None


def test_the_warning_names_place_and_nearest_sigmas(tmp_path):
    log = tmp_path / 'log'
    logger = MMLogger.get_instance('sigma', log_file=str(log))
    load_config(STOCK, {'codec.sigma': 1.4})
    logger.handlers[-1].flush()
    text = log.read_text()
    assert text.count('codec.sigma=1.4: some heatmaps peak a cell beside') == 1
    assert 'nearest that are: 1.3333333333333333, 1.6666666666666667' in text
    assert shifted_peaks(load_config(STOCK)) is None
    # Codecs that fill the whole map, or a line of it, have no patch to shift.
    for codec in (
        {'type': 'MSRAHeatmap', 'sigma': 1.4, 'unbiased': True},
        {'type': 'SimCCLabel', 'sigma': (4.9, 5.66)},
    ):
        assert shifted_peaks(Config({'codec': codec})) is None
    stages = [{'type': 'MSRAHeatmap', 'sigma': sigma} for sigma in (2, 0.1)]
    assert shifted_peaks(Config({'codec': stages})) == (
        'codec.sigma=0.1: some heatmaps peak a cell beside their keypoint, as three '
        'sigmas are no whole number of cells; nearest that are: 0.3333333333333333'
    )
