# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The networks that MMPretrain, MMPose and MMDetection publish, as a cache."""

import gc
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from hpml_mm.predictor.data.build import parts_of
from hpml_mm.predictor.data.network_source import load_source
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.utils.files import dump_strict, locked, write_atomic

from .model_index import Published, published


def build_zoo(
    out: Path,
    packages: Sequence[str] = ('mmpretrain',),
    advanced: Callable[[Published, str], None] = lambda model, problem: None,
) -> tuple[GraphCache, dict[str, str]]:
    """Trace all of ``published`` into a cache; resume an interrupted build.

    A record is called ``FAMILY/NAME``. One is made for each published network, though
    some have the same graph: they were trained, or are tested, in different ways.

    Args:
        out: The cache; it is written whole, in the end.
        packages: Those whose networks are traced.
        advanced: Called after each network with why it was left out, or ''.

    Returns:
        The cache, and the reason by record for each network that is left out, which
        is written to ``OUT.left-out.json`` too.

    Raises:
        FileNotFoundError: A package has no index.
        ValueError: A package is not installed, or publishes none.
    """
    models = [model for name in dict.fromkeys(packages) for model in published(name)]
    with locked(out):
        return _build_zoo(out, models, advanced)


def _build_zoo(
    out: Path, models: list[Published], advanced: Callable[[Published, str], None]
) -> tuple[GraphCache, dict[str, str]]:
    folder = parts_of(out)
    folder.mkdir(parents=True, exist_ok=True)
    families: dict[str, list[Published]] = {}
    for model in models:
        families.setdefault(f'{model.package}/{model.family}', []).append(model)
    entries: list[Entry] = []
    left_out: dict[str, str] = {}
    for family, members in families.items():
        path = folder / quote(family, safe='')
        reasons = folder / f'{path.name}.json'
        if not path.is_file():
            problems: dict[str, str] = {}
            part = GraphCache.from_entries(_traced(members, problems, advanced))
            write_atomic(reasons, dump_strict(problems))
            part.save(path)
        entries.extend(GraphCache.load(path))
        left_out |= json.loads(reasons.read_text(encoding='utf-8'))
    cache = GraphCache.from_entries(entries)
    write_atomic(out.with_name(f'{out.name}.left-out.json'), dump_strict(left_out))
    cache.save(out)
    shutil.rmtree(folder)
    return cache, left_out


def _traced(
    models: list[Published],
    problems: dict[str, str],
    advanced: Callable[[Published, str], None],
) -> Iterator[Entry]:
    known: dict[str, Entry] = {}
    for model in models:
        name, problem = f'{model.family}/{model.name}', model.problem
        try:
            if problem:
                raise ValueError(problem)
            if model.config not in known:
                known[model.config] = load_source(model.config)
                gc.collect()  # Models hold themselves, and would pile up.
            entry = known[model.config]
            yield Entry(name, entry.graph, None, {**entry.metrics, **model.scores})
        # The second for a broken config, the third for one that stands on none.
        except (ValueError, RuntimeError, FileNotFoundError) as error:
            problem = problems[name] = str(error)
        advanced(model, problem)
