# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from matplotlib.figure import Figure

from hpml_mm.visualization import confusion
from hpml_mm.visualization.confusion import draw_confusion_matrix

MATRIX = np.array([[1500, 500], [0, 0]])
CLASSES = ('Happy', 'Sad')


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, to read their texts."""
    drawn = []

    class Recorder(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(confusion, 'Figure', Recorder)
    return drawn


def test_cells_hold_shares_and_counts_and_the_accuracy_is_told(figures):
    draw_confusion_matrix(MATRIX, CLASSES, 'PublicTest, epoch 3')
    axes = figures[0].axes[0]
    texts = {t.get_position(): t.get_text() for t in axes.texts}
    # Keys are (column, row); the row without a sample stays empty.
    assert texts == {(0, 0): '75.0\n1,500', (1, 0): '25.0\n500'}
    colours = axes.images[0].get_array()
    assert colours[0].tolist() == [75.0, 25.0]
    assert colours.mask[1].all()
    assert axes.get_title() == 'PublicTest, epoch 3: accuracy 75.00 % of 2,000'
    assert [t.get_text() for t in axes.get_xticklabels()] == ['Happy', 'Sad']
    rows = [t.get_text() for t in axes.get_yticklabels()]
    assert rows == ['Happy (2,000)', 'Sad (0)']


def test_a_dark_cell_is_darker_than_a_light_one(figures):
    matrix = np.array([[100, 0], [50, 50]])
    picture = draw_confusion_matrix(matrix, CLASSES)
    axes = figures[0].axes[0]

    def brightness(column, row):
        # Above the texts, so that they do not count.
        x, y = axes.transData.transform((column - 0.4, row - 0.4))
        return int(picture[picture.shape[0] - 1 - int(y), int(x)].sum())

    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert brightness(0, 0) < brightness(0, 1) < brightness(1, 0)


def test_an_empty_matrix_says_so(figures):
    draw_confusion_matrix(np.zeros((2, 2), dtype=int), CLASSES)
    assert figures[0].axes[0].get_title() == 'no samples'


def test_a_matrix_that_does_not_fit_the_names_is_an_error():
    with pytest.raises(ValueError, match=r'shape \(2, 2\) for 3 classes'):
        draw_confusion_matrix(MATRIX, ('a', 'b', 'c'))


@pytest.mark.slow
def test_many_classes_make_a_picture_of_bounded_size():
    picture = draw_confusion_matrix(
        np.eye(200, dtype=int), [str(i) for i in range(200)]
    )
    # As of 30 classes, .75 inches each.
    assert picture.shape == (2470, 2690, 3)
