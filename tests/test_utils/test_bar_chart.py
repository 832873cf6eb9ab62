# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import matplotlib
import numpy as np
import pytest

from hpml_mm.utils.charts import bar_chart, brief_names

BAR_COLOUR = (31, 119, 180)  # matplotlib's first colour


def bar_lengths(image: np.ndarray) -> list[int]:
    """Length in pixels of each bar, from the top."""
    lengths = (image == BAR_COLOUR).all(axis=-1).sum(axis=1)
    starts = [
        row for row in range(1, len(lengths)) if lengths[row] and not lengths[row - 1]
    ]
    return [int(lengths[start + 2]) for start in starts]


def test_bars_are_proportional_and_the_first_is_on_top():
    image = bar_chart(['conv', 'copy', 'add'], [8.0, 4.0, 2.0], 'title', 'time (ms)')
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    first, second, third = bar_lengths(image)
    assert second == pytest.approx(first / 2, abs=2)
    assert third == pytest.approx(first / 4, abs=2)


def test_more_bars_make_a_higher_picture():
    few, many = (bar_chart(['x'] * n, [1.0] * n) for n in (2, 12))
    assert many.shape[0] > few.shape[0]
    assert many.shape[1] == few.shape[1]
    assert len(bar_lengths(many)) == 12


def test_a_long_label_leaves_room_for_its_bar():
    short, long = (bar_chart([label], [1.0]) for label in ('y' * 40, 'y' * 4000))
    assert bar_lengths(long) == pytest.approx(bar_lengths(short), rel=0.1)


def test_values_of_zero_are_drawn():
    assert bar_chart(['a', 'b'], [0.0, 0.0]).shape[2] == 3


@pytest.mark.parametrize(('labels', 'values'), [([], []), (['a'], [1.0, 2.0])])
def test_labels_must_match_values(labels, values):
    with pytest.raises(ValueError, match='give one label for each value'):
        bar_chart(labels, values)


def test_no_global_figure_is_left():
    pyplot = pytest.importorskip('matplotlib.pyplot')
    before, backend = pyplot.get_fignums(), matplotlib.get_backend()
    bar_chart(['a'], [1.0])
    assert pyplot.get_fignums() == before
    assert matplotlib.get_backend() == backend


def test_experiments_have_brief_names_where_these_differ():
    assert brief_names(['speed/a', 'size/a']) == ['speed', 'size']
    assert brief_names(['speed/a', 'speed/b']) == ['speed/a', 'speed/b']
