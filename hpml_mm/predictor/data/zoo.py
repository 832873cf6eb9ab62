# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The classifiers that MMPretrain publishes, with the accuracy that it states."""

import dataclasses
import gc
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.utils.files import dump_strict, locked, write_atomic

from .build import parts_of
from .network_source import load_source

METRIC = 'imagenet/top1(%)'
_DATASET, _TOP1 = 'ImageNet-1k', 'Top 1 Accuracy'


@dataclasses.dataclass(frozen=True)
class Published:
    """A classifier of MMPretrain.

    Attributes:
        name: As MMPretrain calls it.
        family: The collection that it is in, such as 'ResNet'.
        config: Path of its config; several are published for some.
        top1: Its accuracy on ImageNet-1k in percent, as stated.
    """

    name: str
    family: str
    config: str
    top1: float


def published() -> list[Published]:
    """List MMPretrain's classifiers with an accuracy on ImageNet-1k."""
    from mmpretrain.apis import ModelHub, list_models

    names = list_models(task='Image Classification')
    found = []
    for name in sorted(names):
        # Its public way of asking reads each config, which takes a minute for all.
        model = ModelHub._models_dict[name]
        for result in model.results or ():
            top1 = (result.metrics or {}).get(_TOP1)
            if result.dataset == _DATASET and isinstance(top1, int | float):
                config = getattr(model.config, 'filename', model.config)
                found.append(Published(name, model.in_collection, str(config), top1))
                break
    return found


def build_zoo(
    out: Path,
    advanced: Callable[[Published, str], None] = lambda model, problem: None,
) -> GraphCache:
    """Trace all of ``published`` into a cache; resume an interrupted build.

    A record is called ``FAMILY/NAME``. What cannot be traced is left out, and listed
    with the reason in ``OUT.left-out.json``.

    Args:
        out: The cache; it is written whole, in the end.
        advanced: Called after each model with why it was left out, or ''.
    """
    with locked(out):
        return _build_zoo(out, advanced)


def _build_zoo(out: Path, advanced: Callable[[Published, str], None]) -> GraphCache:
    folder = parts_of(out)
    folder.mkdir(parents=True, exist_ok=True)
    families: dict[str, list[Published]] = {}
    for model in published():
        families.setdefault(model.family, []).append(model)
    entries: list[Entry] = []
    left_out: dict[str, str] = {}
    for family, models in families.items():
        path = folder / re.sub(r'\W', '-', family)
        if not path.is_file():
            problems: dict[str, str] = {}
            part = GraphCache.from_entries(_traced(models, problems, advanced))
            write_atomic(path.with_suffix('.json'), dump_strict(problems))
            part.save(path)
        entries.extend(GraphCache.load(path))
        left_out |= json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
    cache = GraphCache.from_entries(entries)
    write_atomic(out.with_name(f'{out.name}.left-out.json'), dump_strict(left_out))
    cache.save(out)
    shutil.rmtree(folder)
    return cache


def _traced(
    models: list[Published],
    problems: dict[str, str],
    advanced: Callable[[Published, str], None],
) -> Iterator[Entry]:
    known: dict[str, Entry] = {}
    for model in models:
        problem = ''
        try:
            if model.config not in known:
                known[model.config] = load_source(model.name)
                gc.collect()  # Models hold themselves, and would pile up.
            entry = known[model.config]
            metrics = {**entry.metrics, METRIC: float(model.top1)}
            yield Entry(f'{model.family}/{model.name}', entry.graph, None, metrics)
        except (ValueError, RuntimeError) as error:  # the second for a broken config
            problem = problems[model.name] = str(error)
        advanced(model, problem)
