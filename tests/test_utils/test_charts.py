# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import matplotlib
import numpy as np
import pytest

from hpml_mm.utils.charts import Line, Panel, bar_chart, brief_names, line_chart

BLUE = np.array((31, 119, 180))  # matplotlib's first colour
LINE = Line('a', [0, 1, 2], [0.0, 1.0, 2.0])


def bar_lengths(image: np.ndarray) -> list[int]:
    """Length in pixels of each bar, from the top."""
    lengths = (image == BLUE).all(axis=-1).sum(axis=1)
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
    assert len(bar_lengths(many)) == 12
    assert bar_lengths(bar_chart(['a', 'b'], [0.0, 0.0])) == []


def test_a_long_label_leaves_room_for_its_bar():
    short, long = (bar_chart([label], [1.0]) for label in ('y' * 40, 'y' * 4000))
    assert bar_lengths(long) == pytest.approx(bar_lengths(short), rel=0.1)


def black_columns(image):
    """Columns right of the axis with a black pixel on the height of the first bar."""
    rows = (image == BLUE).all(axis=-1).any(axis=1)
    middle = np.flatnonzero(rows)[rows.sum() // 2]
    blue = np.flatnonzero((image[middle] == BLUE).all(axis=-1))
    return np.flatnonzero((image[middle, blue[0] :] < 60).all(axis=-1))


def test_a_whisker_is_as_long_as_the_spread():
    # The text in brackets is the same, and the axis all but so.
    image = bar_chart(['a'], [10.0], spreads=[4.0])
    (length,) = bar_lengths(image)
    whisker = black_columns(image)
    # From 8 to 12 of 10, while the bar itself goes on below it.
    first = whisker[: np.flatnonzero(np.diff(whisker, append=9e9) > 1)[0] + 1]
    assert len(first) == pytest.approx(0.4 * length, abs=4)
    assert first[-1] == pytest.approx(1.2 * length, abs=4)


def test_a_bar_without_a_spread_has_no_whisker():
    plain = bar_chart(['a', 'b'], [10.0, 5.0], spreads=[None, None])
    assert (plain == bar_chart(['a', 'b'], [10.0, 5.0])).all()


@pytest.mark.parametrize(
    ('labels', 'values', 'spreads'),
    [([], [], None), (['a'], [1.0, 2.0], None), (['a'], [1.0], [0.1, 0.2])],
)
def test_labels_and_spreads_must_match_values(labels, values, spreads):
    with pytest.raises(ValueError, match='give one label for each value'):
        bar_chart(labels, values, spreads=spreads)


def test_no_global_figure_is_left():
    pyplot = pytest.importorskip('matplotlib.pyplot')
    before, backend = pyplot.get_fignums(), matplotlib.get_backend()
    bar_chart(['a'], [1.0])
    assert pyplot.get_fignums() == before
    assert matplotlib.get_backend() == backend


def test_experiments_have_brief_names_where_these_differ():
    assert brief_names(['speed/a', 'size/a']) == ['speed', 'size']
    assert brief_names(['speed/a', 'speed/b']) == ['speed/a', 'speed/b']


def area(image, colour):
    """Pixels that are nearly of a colour."""
    return int((np.abs(image.astype(int) - colour).max(axis=-1) < 12).sum())


def faded(colour):
    """A colour of a fifth of its strength on white."""
    return (0.2 * colour + 0.8 * 255).round()


def picture(*lines, **settings):
    return line_chart([Panel('x', 'y', lines, **settings)])


def test_panels_stand_side_by_side():
    panel = Panel('epoch', 'AP', [LINE])
    one, two = line_chart([panel]), line_chart([panel, panel], 'title')
    assert one.dtype == np.uint8
    assert one.shape[2] == 3
    assert two.shape[0] == one.shape[0]
    assert two.shape[1] > 1.5 * one.shape[1]
    left, right = np.array_split(two, 2, axis=1)
    assert area(left, BLUE) > 100
    assert area(right, BLUE) > 100


def test_a_spread_is_a_band_of_its_height():
    plain = area(picture(LINE), faded(BLUE))
    bands = [
        area(picture(Line('a', [0, 1, 2], [0, 1, 2], [s, s, s])), faded(BLUE)) - plain
        for s in (0.02, 0.1)
    ]
    assert bands[0] > 0
    assert bands[1] > 3 * bands[0]


def test_a_single_place_has_a_whisker():
    one, spread = (picture(Line('a', [1], [1.0], [s])) for s in (None, 0.5))
    assert area(spread, BLUE) > area(one, BLUE)


def test_a_place_without_a_spread_breaks_the_band():
    whole, broken = (
        area(picture(Line('a', [0, 1, 2], [0, 1, 2], [0.1, s, 0.1])), faded(BLUE))
        for s in (0.1, None)
    )
    zero = area(picture(Line('a', [0, 1, 2], [0, 1, 2], [0.1, 0, 0.1])), faded(BLUE))
    assert broken < zero < whole


def test_places_without_a_spread_have_none():
    assert (
        picture(Line('a', [0, 1], [0, 1], [None, None]))
        == picture(Line('a', [0, 1], [0, 1]))
    ).all()


def test_a_reference_is_grey():
    image = picture(Line('ideal', [0, 1], [0, 1], reference=True))
    assert area(image, BLUE) == 0
    assert area(image, 128) > 50


def test_ticks_are_those_asked_for():
    assert (picture(LINE, ticks=[0, 2]) != picture(LINE)).any()


def test_what_cannot_be_drawn_is_refused():
    for arguments in (([], []), ([1], [1, 2]), ([1, 2], [1, 2], [0.1])):
        with pytest.raises(ValueError, match="line 'a' has"):
            Line('a', *arguments)
    for panels in ([], [Panel('x', 'y', [])]):
        with pytest.raises(ValueError, match='a line in each'):
            line_chart(panels)
