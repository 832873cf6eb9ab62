# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pictures with captions, laid out as one sheet."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6
LINE = 20
BACKGROUND = (255, 255, 255)
INK = (20, 20, 20)


class Panel(NamedTuple):
    """A picture with a line above it."""

    picture: np.ndarray
    caption: str


def lay_out(rows: Sequence[Sequence[Panel]], titles: Sequence[str] = ()) -> np.ndarray:
    """Arrange panels of one size in a grid.

    Args:
        rows: Panels from left to right; a row may be shorter than the first.
        titles: One above each column.

    Returns:
        RGB sheet of type uint8.
    """
    height, width = rows[0][0].picture.shape[:2]
    # DejaVu comes with Matplotlib, and knows more letters than OpenCV does.
    file = Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf')
    font = ImageFont.truetype(str(file), 13)
    step = LINE + height + GAP
    top, columns = GAP + (LINE if titles else 0), max(map(len, rows))
    size = (GAP + columns * (width + GAP), top + len(rows) * step)
    sheet = Image.new('RGB', size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    lefts = [GAP + column * (width + GAP) for column in range(columns)]
    for x, title in zip(lefts, titles, strict=False):
        pen.text((x, GAP), _shorten(title, font, width), fill=INK, font=font)
    for number, row in enumerate(rows):
        y = top + number * step
        for x, panel in zip(lefts, row, strict=False):
            caption = _shorten(panel.caption, font, width)
            pen.text((x, y), caption, fill=INK, font=font)
            sheet.paste(Image.fromarray(panel.picture), (x, y + LINE))
    return np.array(sheet)


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text in the middle if it is too wide."""
    shown, half = text, len(text) // 2
    while half > 1 and font.getlength(shown) > width:
        half -= 1
        shown = f'{text[:half]}…{text[-half:]}'
    return shown


def show_window(picture: np.ndarray, title: str, seconds: float = 0) -> None:
    """Show an RGB picture in a window until it is closed, or for some seconds.

    Raises:
        ValueError: If this Python has no toolkit for windows.
    """
    from matplotlib import pyplot  # chooses a backend, which need not be there else

    pyplot.switch_backend('auto')
    if pyplot.get_backend().lower() == 'agg':
        raise ValueError(
            '--show: matplotlib finds no toolkit for windows; install one (Debian, '
            'Ubuntu: apt install python3-tk; or pip install PyQt6), or write a file by '
            '--out sheet.png'
        )
    height, width = picture.shape[:2]
    figure = pyplot.figure(title, figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture)
    axes.set_axis_off()
    if seconds > 0:
        pyplot.show(block=False)
        pyplot.pause(seconds)
    else:
        pyplot.show()
    pyplot.close(figure)
