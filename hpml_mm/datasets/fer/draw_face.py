# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cartoon faces with the seven expressions, drawn from random numbers.

They are for demonstrations and tests where no real data may be fetched: easy to
tell apart and no substitute for real faces. A face is drawn at four times its final
size in coordinates with the origin between the eyes' height and the mouth, x to the
right, y down, and the head's half height about 1.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike

SIDE = 48
"""Height and width of a drawn face in pixels."""

_SCALE = 4
_CANVAS = SIDE * _SCALE


@dataclass(frozen=True)
class Expression:
    """Shape parameters of one expression.

    Lengths are in units of the head's half height.

    Args:
        brow: Height of the eyebrow's inner end, middle and outer end above the eye.
        eye_open: Half height of the eye.
        pupil: Radius of the pupil.
        mouth_width: Half width of the mouth.
        corner: Distance by which the mouth's corners hang below its centre.
        lips: Depth of the upper and of the lower lip's middle below the centre; a
            closed mouth has the same for both.
        teeth: Share of the open mouth, from above, that shows teeth.
        tilt: How much higher the right corner is than the left one.
        extras: ``'tear'``, ``'tongue'``, ``'wrinkles'``, ``'cheeks'``, ``'furrow'``,
            ``'round'`` for a round mouth.
    """

    brow: tuple[float, float, float]
    eye_open: float
    pupil: float
    mouth_width: float
    corner: float
    lips: tuple[float, float]
    teeth: float = 0.0
    tilt: float = 0.0
    extras: tuple[str, ...] = ()


EXPRESSIONS = {
    'Angry': Expression(
        (0.07, 0.20, 0.31), 0.075, 0.055, 0.27, 0.10, (-0.05, 0.09), 1.0, 0.0,
        ('furrow',),
    ),
    'Disgust': Expression(
        (0.12, 0.16, 0.15), 0.040, 0.040, 0.26, 0.08, (-0.10, 0.07), 0.0, 0.10,
        ('tongue', 'wrinkles'),
    ),
    'Fear': Expression(
        (0.40, 0.33, 0.22), 0.150, 0.045, 0.31, 0.09, (-0.08, 0.15), 0.45, 0.0,
        ('furrow',),
    ),
    'Happy': Expression(
        (0.24, 0.31, 0.25), 0.070, 0.060, 0.37, -0.12, (0.02, 0.27), 0.50, 0.0,
        ('cheeks',),
    ),
    'Sad': Expression(
        (0.37, 0.25, 0.14), 0.065, 0.055, 0.22, 0.11, (-0.05, -0.05), 0.0, 0.0,
        ('tear',),
    ),
    'Surprise': Expression(
        (0.35, 0.46, 0.37), 0.160, 0.060, 0.13, 0.02, (-0.20, 0.27), 0.0, 0.0,
        ('round',),
    ),
    'Neutral': Expression(
        (0.20, 0.25, 0.20), 0.090, 0.060, 0.25, 0.00, (0.00, 0.00), 0.0, 0.0, ()
    ),
}  # fmt: skip


def draw_face(expression: str, rng: np.random.Generator) -> np.ndarray:
    """Draw one face.

    Args:
        expression: Class name such as ``'Happy'``.
        rng: Decides on pose, build, light and noise. The same state draws the same
            face.

    Returns:
        Grey pixels, uint8 of shape (48, 48).

    Raises:
        ValueError: There is no such expression.
    """
    if expression not in EXPRESSIONS:
        raise ValueError(
            f'unknown expression {expression!r}; known: {", ".join(EXPRESSIONS)}'
        )
    look = _vary(EXPRESSIONS[expression], rng)
    pen = _Pen(rng)
    _draw_head(pen, rng)
    _draw_eyes(pen, look)
    _draw_nose(pen, look)
    _draw_mouth(pen, look)
    return _photograph(pen.image, rng)


def _vary(look: Expression, rng: np.random.Generator) -> Expression:
    """Vary the strength of an expression at random."""
    strength = rng.uniform(0.8, 1.15)
    calm = EXPRESSIONS['Neutral']

    def mix(value: float, rest: float) -> float:
        return rest + strength * (value - rest) + rng.normal(0, 0.008)

    inner, middle, outer = map(mix, look.brow, calm.brow)
    upper, lower = (mix(v, 0.0) for v in look.lips)
    if look.lips[0] == look.lips[1]:
        lower = upper
    return replace(
        look,
        brow=(inner, middle, outer),
        eye_open=max(0.03, mix(look.eye_open, calm.eye_open)),
        mouth_width=look.mouth_width * rng.uniform(0.9, 1.1),
        corner=mix(look.corner, 0.0),
        lips=(upper, lower),
        tilt=look.tilt * rng.choice((-1, 1)),
    )


class _Pen:
    """Draws antialiased shapes in face coordinates, randomly posed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.skin = rng.uniform(140, 225)
        self.ink = rng.uniform(10, 45)
        background = rng.uniform(20, 120) if rng.random() < 0.7 else 240
        self.image = np.full((_CANVAS, _CANVAS), background, np.uint8)
        angle = np.deg2rad(rng.normal(0, 6))
        size = _CANVAS * rng.uniform(0.40, 0.47)
        wide = rng.uniform(0.95, 1.1)
        rotation = np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        self._matrix = size * rotation @ np.diag([wide, 1.0])
        self._centre = _CANVAS / 2 + rng.uniform(-0.035, 0.035, 2) * _CANVAS
        self._unit = size

    def _pixels(self, points: ArrayLike) -> list[np.ndarray]:
        # Fixed point with 4 fractional bits, which is what OpenCV's shift means.
        placed = np.asarray(points, float) @ self._matrix.T + self._centre
        return [np.round(placed * 16).astype(np.int32)]

    def fill(self, points: ArrayLike, grey: float) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.image, self._pixels(points), float(grey), cv2.LINE_AA, 4)

    def line(self, points: ArrayLike, grey: float, width: float) -> None:
        """Draw a line of some width."""
        pixels = max(1, round(width * self._unit))
        cv2.polylines(
            self.image, self._pixels(points), False, float(grey), pixels, cv2.LINE_AA, 4
        )


def _ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)


def _curve(start: ArrayLike, middle: ArrayLike, end: ArrayLike) -> np.ndarray:
    """Points on the parabola through three points."""
    t = np.linspace(0, 1, 17)[:, None]
    first, last = np.asarray(start), np.asarray(end)
    control = 2 * np.asarray(middle) - (first + last) / 2
    return (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last


def _draw_head(pen: _Pen, rng: np.random.Generator) -> None:
    hair = rng.uniform(15, 90)
    top = rng.uniform(-0.62, -0.48)
    if rng.random() < 0.4:  # long hair behind the head
        pen.fill(_ellipse(0, 0.05, 0.98, 1.12), hair)
    for x in (-0.80, 0.80):
        pen.fill(_ellipse(x, 0.02, 0.12, 0.2), pen.skin * 0.85)
    pen.fill(_ellipse(0, 0.0, 0.80, 1.02), pen.skin)
    crown = _ellipse(0, 0, 0.84, 1.08)
    crown = crown[crown[:, 1] < -0.2]  # from the left temple to the right one
    part = (rng.uniform(-0.35, 0.35), top)
    pen.fill(np.concatenate([crown, _curve(crown[-1], part, crown[0])]), hair)


def _draw_eyes(pen: _Pen, look: Expression) -> None:
    y = -0.14
    for side in (-1, 1):
        x = side * 0.33
        half, tall = 0.165, look.eye_open
        upper = _curve((x - half, y), (x, y - tall), (x + half, y))
        lower = _curve((x + half, y), (x, y + tall * 0.8), (x - half, y))
        if 'cheeks' in look.extras:  # a smile pushes the lower lid up
            lower = _curve((x + half, y), (x, y - tall * 0.2), (x - half, y))
        pen.fill(np.concatenate([upper, lower]), 250)
        tall_pupil = min(look.pupil * 1.2, tall * 0.9)
        pen.fill(_ellipse(x, y - 0.01, look.pupil, tall_pupil), pen.ink)
        pen.line(upper, pen.ink, 0.035)
        pen.line(lower, pen.skin * 0.6, 0.02)
        inner, middle, outer = look.brow
        brow = _curve(
            (side * 0.13, y - inner),
            (side * 0.32, y - middle),
            (side * 0.54, y - outer),
        )
        pen.line(brow, pen.ink, 0.065)
        if 'furrow' in look.extras:
            crease = _curve(
                (side * 0.06, -0.42), (side * 0.04, -0.35), (side * 0.06, -0.27)
            )
            pen.line(crease, pen.skin * 0.55, 0.025)
        if 'cheeks' in look.extras:
            cheek = _curve(
                (side * 0.30, 0.17), (side * 0.42, 0.30), (side * 0.48, 0.42)
            )
            pen.line(cheek, pen.skin * 0.65, 0.025)
    if 'tear' in look.extras:
        pen.fill(_ellipse(0.37, 0.13, 0.05, 0.085), 255)
        pen.line(_ellipse(0.37, 0.13, 0.05, 0.085), pen.skin * 0.5, 0.015)


def _draw_nose(pen: _Pen, look: Expression) -> None:
    shade = pen.skin * 0.6
    pen.line(_curve((-0.10, 0.20), (0.0, 0.26), (0.10, 0.20)), shade, 0.035)
    if 'wrinkles' in look.extras:
        for y in (-0.10, -0.02, 0.06):
            pen.line(_curve((-0.10, y), (0.0, y - 0.035), (0.10, y)), shade, 0.028)
        for side in (-1, 1):
            fold = _curve((side * 0.14, 0.18), (side * 0.27, 0.26), (side * 0.33, 0.42))
            pen.line(fold, shade, 0.03)
    else:
        pen.line([(0.05, -0.05), (0.08, 0.16)], pen.skin * 0.8, 0.025)


def _draw_mouth(pen: _Pen, look: Expression) -> None:
    y, half = 0.52, look.mouth_width
    left = (-half, y + look.corner + look.tilt / 2)
    right = (half, y + look.corner - look.tilt / 2)
    upper = _curve(left, (0.0, y + look.lips[0]), right)
    lower = _curve(left, (0.0, y + look.lips[1]), right)
    if 'round' in look.extras:  # the lips' curves would be pointed
        middle, tall = sum(look.lips) / 2, (look.lips[1] - look.lips[0]) / 2
        upper = _ellipse(0.0, y + middle, half, tall)
        pen.fill(upper, pen.ink)
        pen.line(upper, pen.skin * 0.5, 0.05)
        return
    if look.lips[0] != look.lips[1]:
        pen.fill(np.concatenate([upper, lower[::-1]]), pen.ink)
        if look.teeth:
            edge = upper + look.teeth * (lower - upper)
            pen.fill(np.concatenate([upper, edge[::-1]]), 245)
        if look.teeth == 1:  # clenched: the line between the rows of teeth
            pen.line((upper + lower) / 2, pen.ink, 0.025)
            for t in (4, 8, 12):
                pen.line([upper[t], lower[t]], pen.ink, 0.018)
    if 'tongue' in look.extras:
        pen.fill(_ellipse(0.02, y + look.lips[1] + 0.06, 0.13, 0.17), pen.skin * 0.62)
        pen.line([(0.02, y + 0.02), (0.02, y + 0.20)], pen.skin * 0.4, 0.02)
    for lip in (upper, lower):
        pen.line(lip, pen.ink, 0.045)


def _photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shrink, light from one side, blur a little and add sensor noise."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (3, 3), rng.uniform(0.1, 0.6)).astype(np.float32)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    slope_x, slope_y = rng.uniform(-0.2, 0.2, 2)
    light = 1 + slope_x * ramp[None, :] + slope_y * ramp[:, None]
    small = small * light * rng.uniform(0.75, 1.1) + rng.uniform(-10, 10)
    small += rng.normal(0, rng.uniform(1, 6), small.shape)
    return np.clip(small, 0, 255).round().astype(np.uint8)
