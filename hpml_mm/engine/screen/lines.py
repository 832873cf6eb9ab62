# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Lines of the card and of each epoch, of numbers; what is not known is left out."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from hpml_mm.utils.messages import counted

_NAME_WIDTH = 12


def card_line(name: str, *parts: str | None) -> str:
    """Line of the card: a name, and what is known of it."""
    known = ', '.join(part for part in parts if part)
    return f'{name:<{_NAME_WIDTH}}{known or "unknown"}'


def model_parts(
    name: str, parameters: int | None, gmacs: float | None
) -> Iterable[str | None]:
    """Name and cost of a model.

    Args:
        name: Name of the model.
        parameters: Number of parameters.
        gmacs: Multiply-accumulates of a training step for each image, in thousands of
            millions.
    """
    yield name
    yield None if parameters is None else f'{parameters:,} parameters'
    yield (
        None
        if gmacs is None
        else f'{gmacs:.3g} GMACs an image and step, backward pass included'
    )


def data_parts(
    counts: Mapping[str, int | None], batch_size: int | None, workers: int | None
) -> Iterable[str | None]:
    """Samples of each loop, and the loader's setting.

    Args:
        counts: Number of samples by what they are for; None where it is not known.
        batch_size: Samples of a batch of one process.
        workers: Processes of the first loop's loader.
    """
    for use, count in counts.items():
        yield f'{"unknown number" if count is None else f"{count:,}"} to {use}'
    yield None if batch_size is None else f'batches of {batch_size}'
    if workers is not None:
        yield counted(workers, 'worker') if workers else 'no workers'


def epoch_line(
    stage: str,
    *,
    metric: tuple[str, Any, float | None] | None = None,
    loss: float | None = None,
    speed: float | None = None,
    seconds: float | None = None,
    remaining: float | None = None,
) -> str:
    """Line of an epoch, or of a validation.

    Args:
        stage: Name of the stage, such as ``'epoch 3/8'``.
        metric: Name, value and best value of the metric that counts.
        loss: Mean loss.
        speed: Images a second.
        seconds: Time since the line before.
        remaining: Time to the end of the training, in seconds.
    """
    parts = [stage]
    if metric is not None:
        parts.append(_metric(*metric))
    if loss is not None:
        parts.append(f'loss {loss:.4f}')
    if speed is not None:
        parts.append(f'{speed:,.0f} images/s')
    if seconds is not None:
        parts.append(clock_time(seconds))
    if remaining is not None:
        parts.append(f'ETA {clock_time(remaining)}')
    return '  '.join(parts)


def clock_time(seconds: float) -> str:
    """Duration as ``h:mm:ss``."""
    return str(timedelta(seconds=round(seconds)))


def spoken(class_name: str) -> str:
    """Words of the name of a hook's class, without ``Hook``."""
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', ' ', class_name.removesuffix('Hook'))
    return ' '.join(one if one.isupper() else one.lower() for one in words.split())


def _metric(name: str, value: Any, best: float | None) -> str:
    shown = f'{name} {_score(value)}'
    if best is None:
        return shown
    note = 'best so far' if value == best else f'best {_score(best)}'
    return f'{shown} ({note})'


def _score(value: Any) -> str:
    """Two decimals of a percentage, four of what may be a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 'unknown'
    return f'{value:.2f}' if abs(value) > 1 else f'{value:.4f}'
