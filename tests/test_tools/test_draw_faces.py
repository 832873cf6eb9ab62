# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpml_mm.cli import main
from hpml_mm.datasets import DemoFaceDataset, FERFolderDataset

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_drawn_files_are_the_faces_of_the_data_set(tmp_path, capsys):
    out = tmp_path / 'faces'
    main(['data', 'faces', '--out', str(out), '--num-per-class', '2', '--seed', '3'])
    files = FERFolderDataset(str(out), 'val', pipeline=[{'type': 'hpml_mm.LoadFace'}])
    drawn = DemoFaceDataset('val', num_per_class=2, seed=3)
    assert len(files) == 14
    # Folders go by class, drawn faces take turns.
    np.testing.assert_array_equal(files[1]['img'], drawn.get_data_info(7)['img'])
    sheet = cv2.imread(str(out / 'contact_sheet.png'), cv2.IMREAD_UNCHANGED)
    assert sheet.shape == (7 * 96, 6 * 96)  # the first of all three splits
    with pytest.raises(SystemExit):
        main(['data', 'faces', '--out', str(out)])
    assert 'faces exists already' in capsys.readouterr().err
