# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks that installed packages publish, with the scores that they state."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mmengine.fileio import load

from hpml_mm.utils.messages import shown

#: By package and by what its index calls task, data set and metric: name of the score
#: in a cache, and the factor that makes it percent. Higher is better for all.
SCORES = {
    'mmpretrain': {
        ('Image Classification', 'ImageNet-1k', 'Top 1 Accuracy'): (
            'imagenet/top1(%)',
            1,
        ),
    },
    'mmpose': {
        ('Body 2D Keypoint', 'COCO', 'AP'): ('coco/pose-ap(%)', 100),
        ('Body 2D Keypoint', 'MPII', 'Mean'): ('mpii/pckh(%)', 100),
    },
    'mmdet': {
        ('Object Detection', 'COCO', 'box AP'): ('coco/box-ap(%)', 1),
        ('Instance Segmentation', 'COCO', 'mask AP'): ('coco/mask-ap(%)', 1),
        ('Panoptic Segmentation', 'COCO', 'PQ'): ('coco/pq(%)', 1),
    },
}


@dataclasses.dataclass(frozen=True)
class Published:
    """A network of an installed package.

    Attributes:
        package: One of ``SCORES``.
        name: As the package calls it.
        family: The collection that it is in, such as 'ResNet'.
        config: Path of its config; several are published for some.
        scores: What it is stated to reach, in percent, by names of ``SCORES``.
        problem: Why it cannot be used, or ''.
    """

    package: str
    name: str
    family: str
    config: str
    scores: Mapping[str, float]
    problem: str = ''


def published(package: str) -> list[Published]:
    """List the networks of a package for which it states one of ``SCORES``.

    One that is listed twice alike is listed once here. Where two differ, neither can
    be believed, and both are one with a ``problem``.

    Raises:
        FileNotFoundError: The package has no index.
        ValueError: The package is not installed, or none of ``SCORES``.
    """
    if package not in SCORES:
        raise ValueError(f'{package!r} is none of {", ".join(SCORES)}')
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f'{package} is not installed, so its networks are not known')
    root = Path(spec.origin).parent / '.mim'
    files = {path.name: path for path in sorted(root.glob('configs/**/*.py'))}
    found: dict[tuple[str, str], Published] = {}
    for record in _records(root / 'model-index.yml'):
        model = _read(package, record, root, files)
        known = model and found.setdefault((model.family, model.name), model)
        if model and known != model:
            text = 'it is published twice, with different scores or configs'
            found[model.family, model.name] = dataclasses.replace(model, problem=text)
    return sorted(found.values(), key=lambda model: model.name)


def _records(index: Path) -> Iterator[Mapping[str, Any]]:
    if not index.is_file():
        raise FileNotFoundError(
            f'no {index}: install the package from its wheel, which has its index'
        )
    for name in load(index)['Import']:
        content = load(index.parent / name)
        yield from content.get('Models') or () if isinstance(content, dict) else content


def _read(
    package: str, record: Mapping[str, Any], root: Path, files: Mapping[str, Path]
) -> Published | None:
    """Read a record of an index; None if it states no score of ``SCORES``."""
    scores: dict[str, float] = {}
    problem, stated = '', False
    for result in record.get('Results') or ():
        for metric, value in (result.get('Metrics') or {}).items():
            key = result.get('Task'), result.get('Dataset'), metric
            if key not in SCORES[package]:
                continue
            stated = True
            label, factor = SCORES[package][key]
            if _is_percentage(value, factor):
                # 0.577 times 100 has a trace of its binary form.
                scores[label] = round(float(value) * factor, 6)
            else:
                problem = f'its {metric} on {key[1]} is {shown(value)}, no percentage'
    if not stated:
        return None
    config = root / unquote(str(record.get('Config')))
    # Some are stated without their folder, or with that of another network.
    path = config if config.is_file() else files.get(config.name)
    if path is None and not problem:
        problem = f'its config {record.get("Config")} is not there'
    family, name = record.get('In Collection') or package, record['Name']
    return Published(package, name, str(family), str(path), scores, problem)


def _is_percentage(value: Any, factor: int) -> bool:
    whole = isinstance(value, int | float) and not isinstance(value, bool)
    return whole and math.isfinite(value) and 0 < value * factor < 100
