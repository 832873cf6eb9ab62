# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The published networks as a cache."""

import dataclasses
import json
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from predictor_command import printed, refused
from toy_graphs import chain_graph

from hpml_mm.compat import has_mmpose
from hpml_mm.predictor.card import Card
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.stock import model_index, zoo
from hpml_mm.predictor.stock.model_index import SCORES, Published, published
from hpml_mm.predictor.stock.zoo import build_zoo

TOP1, BOX, MASK = 'imagenet/top1(%)', 'coco/box-ap(%)', 'coco/mask-ap(%)'
MODELS = {
    'mmpretrain': [
        Published('mmpretrain', 'small', 'Chain', 'a.py', {TOP1: 70.5}),
        Published('mmpretrain', 'small-tuned', 'Chain', 'a.py', {TOP1: 71}),
        Published('mmpretrain', 'odd', 'Strange one', 'b.py', {TOP1: 60.0}),
    ],
    'mmdet': [
        Published('mmdet', 'mask', 'Chain', 'c.py', {BOX: 40.0, MASK: 36.0}),
        Published('mmdet', 'gone', 'Chain', 'None', {}, 'its config is not there'),
    ],
}


@pytest.fixture
def loaded(monkeypatch):
    """Configs that are traced, to chains; that of 'odd' cannot be."""
    configs = []

    def load(config: str) -> Entry:
        configs.append(config)
        if config == 'b.py':
            raise ValueError('an operator is unknown')
        return Entry(config, chain_graph(2), None, {'macs': 5.0})

    monkeypatch.setattr(zoo, 'published', MODELS.__getitem__)
    monkeypatch.setattr(zoo, 'load_source', load)
    return configs


def test_an_interrupted_build_goes_on_and_lists_what_is_left_out(
    tmp_path, loaded, capsys
):
    def interrupt(model: Published, problem: str) -> None:
        if model.name == 'odd':
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_zoo(tmp_path / 'zoo', advanced=interrupt)
    assert not (tmp_path / 'zoo').exists()
    capsys.readouterr()
    lines = printed(capsys, 'cache', 'zoo', '--out', tmp_path / 'zoo')
    assert lines[0] == 'Strange one/odd left out: an operator is unknown'
    assert lines[1].startswith('2 graphs written to ')
    assert lines[2] == f'1 left out, see {tmp_path}/zoo.left-out.json'
    cache = GraphCache.load(tmp_path / 'zoo')
    assert cache.names == ['Chain/small', 'Chain/small-tuned']
    assert cache.metric(TOP1).tolist() == [70.5, 71]
    assert cache[1].metrics['macs'] == 5
    assert loaded == ['a.py', 'b.py', 'b.py']  # each config once
    left_out = (tmp_path / 'zoo.left-out.json').read_text()
    assert json.loads(left_out) == {'Strange one/odd': 'an operator is unknown'}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_network_has_all_its_scores_and_others_have_holes(tmp_path, loaded, capsys):
    arguments = ('--package', 'mmpretrain', 'mmdet', '--out', tmp_path / 'zoo')
    printed(capsys, 'cache', 'zoo', *arguments)
    cache = GraphCache.load(tmp_path / 'zoo')
    assert cache.names == ['Chain/small', 'Chain/small-tuned', 'Chain/mask']
    assert cache[2].metrics == {'macs': 5, BOX: 40, MASK: 36}
    assert cache.metric(MASK).tolist()[2] == 36
    left_out = json.loads((tmp_path / 'zoo.left-out.json').read_text())
    assert left_out['Chain/gone'] == 'its config is not there'


def test_an_unknown_package_is_refused(capsys):
    line = refused(capsys, 'cache', 'zoo', '--package', 'mmseg', '--out', 'zoo')
    assert "invalid choice: 'mmseg'" in line
    with pytest.raises(ValueError, match="'mmseg' is none of mmpretrain, mmpose"):
        published('mmseg')


INDEX = """
Import: [configs/a/metafile.yml]
"""
METAFILE = """
Models:
- {Name: both, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 38.2, AR: 1}},
    {Task: Instance Segmentation, Dataset: COCO, Metrics: {mask AP: 34.7, box AP: 9}}]}
- {Name: moved, In Collection: A, Config: configs/b%2Bc/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 30}}]}
- {Name: gone, In Collection: A, Config: configs/a/gone.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 30}}]}
- {Name: text, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: high}}]}
- {Name: share, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 382}}]}
- {Name: few-labels, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Semi-Supervised Object Detection, Dataset: COCO, Metrics: {box AP: 20}}]}
- {Name: no-results, In Collection: A, Config: configs/a/both.py}
- &twice {Name: twice, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 31}}]}
- *twice
- {Name: unlike, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 31}}]}
- {Name: unlike, In Collection: A, Config: configs/a/both.py, Results: [
    {Task: Object Detection, Dataset: COCO, Metrics: {box AP: 32}}]}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """MMDetection with an index of a few networks."""
    folder = tmp_path / '.mim' / 'configs' / 'a'
    folder.mkdir(parents=True)
    (folder / 'both.py').touch()
    (folder / 'metafile.yml').write_text(METAFILE)
    (tmp_path / '.mim' / 'model-index.yml').write_text(INDEX)
    spec = SimpleNamespace(origin=str(tmp_path / '__init__.py'))
    monkeypatch.setattr(model_index, 'find_spec', lambda name: spec)
    return tmp_path / '.mim'


def test_an_index_is_read_and_what_it_lacks_is_named(package):
    found = {model.name: model for model in published('mmdet')}
    both = str(package / 'configs' / 'a' / 'both.py')
    assert found.pop('both') == Published(
        'mmdet', 'both', 'A', both, {BOX: 38.2, MASK: 34.7}
    )
    # Found by its name, in another folder than the index says.
    assert found.pop('moved') == Published('mmdet', 'moved', 'A', both, {BOX: 30})
    assert found.pop('twice') == Published('mmdet', 'twice', 'A', both, {BOX: 31})
    assert {name: model.problem for name, model in found.items()} == {
        'gone': 'its config configs/a/gone.py is not there',
        'text': "its box AP on COCO is 'high', no percentage",
        'share': 'its box AP on COCO is 382, no percentage',
        'unlike': 'it is published twice, with different scores or configs',
    }


def test_a_package_without_an_index_or_not_installed_is_named(
    package, monkeypatch, tmp_path
):
    (package / 'model-index.yml').unlink()
    with pytest.raises(FileNotFoundError, match=r'no .*model-index\.yml'):
        published('mmdet')
    monkeypatch.setattr(model_index, 'find_spec', lambda name: None)
    with pytest.raises(ValueError, match='mmdet is not installed'):
        published('mmdet')


@pytest.mark.parametrize('package', SCORES)
def test_a_card_says_each_score_in_words(package):
    for label, _ in SCORES[package].values():
        card = Card('zoo', label, 'gp', 2, 0, 3, {}, '0')
        assert re.fullmatch(r'(ImageNet|COCO|MPII) [\w -]+ \(%\)', card.task)


def counts(package: str) -> Counter[str]:
    """Check that each network has a config and scores, and count the scores."""
    models = published(package)
    assert all(model.problem or model.config.endswith('.py') for model in models)
    scores = [dict(model.scores) for model in models]
    assert all(10 < value < 99 for each in scores for value in each.values())
    return Counter(name for each in scores for name in each)


def test_published_classifiers_have_family_and_accuracy():
    models = {model.name: model for model in published('mmpretrain')}
    resnet = models['resnet18_8xb32_in1k']
    assert (resnet.family, resnet.scores) == ('ResNet', {TOP1: 69.9})
    assert resnet.config.endswith('resnet18_8xb32_in1k.py')
    # Its index has no number there.
    assert 'is None' in models['hivit-base-p16_16xb64_in1k'].problem
    assert counts('mmpretrain') == {TOP1: 434}


@pytest.mark.skipif(not has_mmpose(), reason='MMPose is not installed')
def test_published_poses_and_detectors_have_scores_in_percent():
    assert counts('mmpose') == {'coco/pose-ap(%)': 166, 'mpii/pckh(%)': 30}
    assert counts('mmdet') == {BOX: 502, MASK: 200, 'coco/pq(%)': 13}
    models = {model.name: model for model in published('mmpose')}
    # Stated as 0.746 and 0.902.
    named = 'td-hm_hrnet-w32_8xb64-210e_coco-256x192'
    assert models[named].scores == {'coco/pose-ap(%)': 74.6}
    named = 'cspnext-m_udp_8xb64-210e_mpii-256x256'
    assert models[named].scores == {'mpii/pckh(%)': 90.2}
    models = {model.name: model for model in published('mmdet')}
    mask = models['mask-rcnn_r50_fpn_1x_coco']
    assert dataclasses.astuple(mask)[1:3] == ('mask-rcnn_r50_fpn_1x_coco', 'Mask R-CNN')
    assert mask.scores == {BOX: 38.2, MASK: 34.7}
