# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest

from hpml_mm.utils.charts import Line, Panel, line_chart

FIRST = np.array((31, 119, 180))  # matplotlib's first colour
LINE = Line('a', [0, 1, 2], [0.0, 1.0, 2.0])


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
    assert area(left, FIRST) > 100
    assert area(right, FIRST) > 100


def test_a_spread_is_a_band_of_its_height():
    plain = area(picture(LINE), faded(FIRST))
    bands = [
        area(picture(Line('a', [0, 1, 2], [0, 1, 2], [s, s, s])), faded(FIRST)) - plain
        for s in (0.02, 0.1)
    ]
    assert bands[0] > 0
    assert bands[1] > 3 * bands[0]


def test_places_without_a_spread_have_none():
    assert (
        picture(Line('a', [0, 1], [0, 1], [None, None]))
        == picture(Line('a', [0, 1], [0, 1]))
    ).all()


def test_a_reference_is_grey():
    image = picture(Line('ideal', [0, 1], [0, 1], reference=True))
    assert area(image, FIRST) == 0
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
