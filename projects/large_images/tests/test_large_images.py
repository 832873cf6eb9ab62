# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import cv2
import numpy as np
import pytest

from projects.large_images.__main__ import main


@pytest.fixture
def source(tmp_path):
    """One image of 40 by 20 pixels with a bright square."""
    folder = tmp_path / 'small'
    (folder / 'images').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    image = np.zeros((20, 40, 3), np.uint8)
    image[4:8, 10:14] = 255
    cv2.imwrite(str(folder / 'images' / 'a.jpg'), image)
    content = {
        'images': [{'id': 7, 'file_name': 'a.jpg', 'width': 40, 'height': 20}],
        'annotations': [
            {
                **{'id': 1, 'image_id': 7, 'category_id': 1, 'area': 16},
                **{'bbox': [10, 4, 4, 4], 'keypoints': [12, 6, 2, 0, 0, 0]},
            }
        ],
    }
    (folder / 'annotations' / 'train.json').write_text(json.dumps(content))
    return folder


def test_annotations_grow_with_their_images(source, tmp_path, capsys):
    main([str(source), str(tmp_path / 'large'), '--side', '80'])
    assert '1 images in' in capsys.readouterr().out
    image = cv2.imread(str(tmp_path / 'large' / 'images' / 'a.jpg'))
    assert image.shape == (40, 80, 3)
    text = (tmp_path / 'large' / 'annotations' / 'train.json').read_text()
    content = json.loads(text)
    assert (content['images'][0]['width'], content['images'][0]['height']) == (80, 40)
    (one,) = content['annotations']
    assert (one['area'], one['bbox']) == (64, [20, 8, 8, 8])
    assert one['keypoints'] == [24, 12, 2, 0, 0, 0]
    left, top, width, height = map(int, one['bbox'])
    assert image[top : top + height, left : left + width].mean() > 200
    with pytest.raises(SystemExit):
        main([str(source), str(tmp_path / 'large')])
    assert 'large is there' in capsys.readouterr().err


def test_a_size_that_is_none_is_refused(source, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(source), str(tmp_path / 'large'), '--side', '0'])
    assert '--side 0: at least 1' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / 'gone'), str(tmp_path / 'large')])
    assert 'no image in' in capsys.readouterr().err
    assert not (tmp_path / 'large').exists()
