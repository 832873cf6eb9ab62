# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stand-in for xtcocotools gives the numbers of the package itself."""

import importlib
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from hpml_mm.compat import install_xtcocotools
from hpml_mm.compat.stand_in import StandIn
from hpml_mm.compat.xtcocotools import SERVED
from hpml_mm.compat.xtcocotools.coco import COCO
from hpml_mm.compat.xtcocotools.cocoeval import COCOeval

POINTS = {
    'keypoints': 4,
    'foot_kpts': 2,
    'face_kpts': 3,
    'lefthand_kpts': 2,
    'righthand_kpts': 2,
}
TYPES = {
    'keypoints': 4,
    'keypoints_body': 4,
    'keypoints_crowd': 4,
    'keypoints_foot': 2,
    'keypoints_face': 3,
    'keypoints_lefthand': 2,
    'keypoints_righthand': 2,
    'keypoints_wholebody': 13,
}
# By xtcocotools 1.14.3 on `made_annotations`: two of its numbers and the last.
STATS = {
    ('keypoints', True): [0.062822, 0.236724, 0.5],
    ('keypoints', False): [0.052979, 0.236724, 0.533333],
    ('keypoints_body', True): [0.062822, 0.236724, 0.5],
    ('keypoints_body', False): [0.052979, 0.236724, 0.533333],
    ('keypoints_crowd', True): [0.062822, 0.236724, 0.101],
    ('keypoints_crowd', False): [0.052979, 0.236724, 0.0505],
    ('keypoints_foot', True): [0.230033, 0.386139, 0.625],
    ('keypoints_foot', False): [0.218977, 0.386139, 0.5],
    ('keypoints_face', True): [0.245672, 0.405941, 0.4],
    ('keypoints_face', False): [0.22962, 0.405941, 0.466667],
    ('keypoints_lefthand', True): [0.235944, 0.2843, 0.666667],
    ('keypoints_lefthand', False): [0.225911, 0.2843, 0.5],
    ('keypoints_righthand', True): [0.124932, 0.263726, 0.4],
    ('keypoints_righthand', False): [0.104917, 0.220072, 0.5],
    ('keypoints_wholebody', True): [0.149432, 0.370792, 0.55],
    ('keypoints_wholebody', False): [0.124616, 0.3157, 0.466667],
}


def points(rng, number, box):
    found = rng.random((number, 3))
    found[:, :2] = found[:, :2] * box[2:] + box[:2]
    found[:, 2] = rng.integers(0, 3, number)
    return found


def made_annotations(seed=0):
    """Whole bodies in twelve images, and detections of most of them."""
    rng = np.random.default_rng(seed)
    images, annotations, found = [], [], []
    for image in range(12):
        images.append({'id': image, 'crowdIndex': float(rng.random())})
        for _ in range(rng.integers(0, 4)):
            box = np.append(rng.random(2) * 100, 20 + rng.random(2) * 150)
            one = {'id': len(annotations), 'image_id': image, 'category_id': 1}
            one |= {'bbox': box.tolist(), 'area': float(box[2] * box[3] * 0.6)}
            if rng.random() < 0.2:
                one['iscrowd'] = 1
            guess = {'image_id': image, 'category_id': 1, 'score': float(rng.random())}
            for name, number in POINTS.items():
                truth = points(rng, number, box)
                one[name] = truth.ravel().tolist()
                truth[:, :2] += rng.normal(0, 6, (number, 2))
                truth[:, 2] = rng.random(number) * (rng.random() < 0.9)
                guess[name] = truth.ravel().tolist()
                part = name.removesuffix('_kpts')
                guess[f'{part}_score'] = float(rng.random())
            guess['wholebody_score'] = float(rng.random())
            one['num_keypoints'] = int((np.array(one['keypoints'])[2::3] > 0).sum())
            annotations.append(one)
            found += [guess] * bool(rng.random() < 0.9)
    categories = [{'id': 1, 'name': 'person'}]
    dataset = {'images': images, 'annotations': annotations, 'categories': categories}
    return dataset, found


def evaluated(coco, evaluation, path, kind, use_area):
    """The evaluation by one of the two implementations."""
    dataset, found = made_annotations()
    path.write_text(json.dumps(dataset))
    truth = coco(str(path))
    sigmas = np.linspace(0.03, 0.1, TYPES[kind])
    one = evaluation(truth, truth.loadRes(found), kind, sigmas, use_area)
    one.params.useSegm = None
    one.evaluate()
    images = list(one.evalImgs)
    one.accumulate()
    one.summarize()
    return np.array(one.stats), images


@pytest.mark.parametrize('use_area', [True, False])
@pytest.mark.parametrize('kind', TYPES)
def test_the_stand_in_is_as_the_package_was(tmp_path, kind, use_area):
    path = tmp_path / 'a.json'
    stats, images = evaluated(COCO, COCOeval, path, kind, use_area)
    assert stats[[0, 1, -1]].tolist() == pytest.approx(STATS[kind, use_area], abs=1e-6)
    if isinstance(find_spec('xtcocotools').loader, StandIn):
        return
    real = importlib.import_module('xtcocotools.coco').COCO
    real_eval = importlib.import_module('xtcocotools.cocoeval').COCOeval
    expected, of_images = evaluated(real, real_eval, path, kind, use_area)
    np.testing.assert_allclose(stats, expected, rtol=1e-12)
    for one, other in zip(images, of_images, strict=True):
        assert (one is None) == (other is None)
        for name in other or ():
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_files_without_detections_or_with_fewer_keypoints(tmp_path):
    dataset, found = made_annotations()
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dataset))
    truth = COCO(str(path), test_index=[0, 2])
    first = dataset['annotations'][0]['keypoints']
    assert truth.anns[0]['keypoints'] == [*first[:3], *first[6:9]]
    (tmp_path / 'none.json').write_text('[]')
    assert truth.loadRes(str(tmp_path / 'none.json')).getAnnIds() == []
    (tmp_path / 'found.json').write_text(json.dumps(found))
    read = truth.loadRes(str(tmp_path / 'found.json'))
    assert [one['score'] for one in read.dataset['annotations']] == [
        one['score'] for one in found
    ]


def test_it_is_found_last_and_only_once(monkeypatch):
    monkeypatch.setattr(
        sys, 'meta_path', [one for one in sys.meta_path if not isinstance(one, StandIn)]
    )
    install_xtcocotools()
    install_xtcocotools()
    assert [isinstance(one, StandIn) for one in sys.meta_path[-2:]] == [False, True]
    # As where no other finder has it.
    monkeypatch.setattr(sys, 'meta_path', [*sys.meta_path[:3], sys.meta_path[-1]])
    monkeypatch.setattr(sys, 'path', [])
    for name in [*SERVED, 'pycocotools', 'pycocotools.mask']:
        module = sys.modules.get(name)
        if name in SERVED:
            monkeypatch.delitem(sys.modules, name, raising=False)
        elif module is None:
            pytest.fail(f'{name} is needed')
    assert importlib.import_module('xtcocotools.coco').COCO is COCO
    mask = importlib.import_module('xtcocotools.mask')
    assert mask.area is sys.modules['pycocotools.mask'].area
