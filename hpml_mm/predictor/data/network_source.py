# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Network sources: an arch, an ONNX file, a config or a published model, by name."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpml_mm.predictor.graphs.graph import Entry, Graph
from hpml_mm.predictor.spaces import SPACES, SearchSpace, get_space

#: The space of an arch that several spaces could have: the published table's.
DEFAULT_SPACE = 'ofa-mbv3-w1.0'


def load_source(
    source: str,
    space: str | None = None,
    size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    task: str | None = None,
) -> Entry:
    """Make the graph of a network, with MACs and parameters as metrics.

    Args:
        source: One of

            - an arch of a search space, ``SPACE:ARCH`` or, with ``space``, ``ARCH``;
            - an ONNX file;
            - a config file of MMPretrain, MMPose or MMDetection, or ``package::name``;
            - the name of a model that one of them publishes.
        space: Name of a search space; the source is an arch of it.
        size: Height and width of the image; None for what the source says.
        options: Overrides of a config, by dotted key.
        task: Task that an arch of TransNAS-Bench-101 is built for; None for the first.

    Returns:
        A record with the metrics 'macs' and 'params'.

    Raises:
        FileNotFoundError: It is a file that does not exist, or none of these.
        ValueError: It cannot be read, built or traced; it looks like an arch and is in
            no space; or the size, the overrides or the task do not fit.
    """
    if Path(source).suffix.lower() == '.onnx':
        name, graph, arch = source, _onnx_graph(source, size), None
    elif (found := split_arch(source, space)) is not None:
        home, arch = found
        graph = arch_graph(get_space(home, task), arch, size)
        name, task = f'{home}:{arch}', None
    else:
        _refuse_near_arch(source)
        name, graph, arch = source, _config_graph(source, size, options or {}), None
        options = None
    if options:
        raise ValueError(f'--cfg-options change a config, and {source} is none')
    if task:
        raise ValueError(
            f'--task {task} is for archs of TransNAS-Bench-101, and {source} is none'
        )
    metrics = {'macs': float(graph.total_macs), 'params': float(graph.total_params)}
    return Entry(name, graph, arch, metrics)


def load_module(
    source: str,
    space: str | None = None,
    size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    task: str | None = None,
) -> tuple[Any, tuple[int, int, int]]:
    """Build a network with weights as PyTorch draws them.

    Args:
        source: As in :func:`load_source`, but no ONNX file.
        space: Name of a search space; the source is an arch of it.
        size: Height and width of the image; None for what the source says.
        options: Overrides of a config, by dotted key.
        task: Task that an arch of TransNAS-Bench-101 is built for; None for the first.

    Returns:
        The module, and channels, height and width of its images.

    Raises:
        FileNotFoundError: It is a file that does not exist, or none of these.
        ValueError: It cannot be read or built, is an ONNX file, or is a detector of
            MMDetection, whose regions depend on what it computes.
    """
    if Path(source).suffix.lower() == '.onnx':
        raise ValueError(f'{source} has no module: give an arch or a config')
    if (found := split_arch(source, space)) is not None:
        home = get_space(found[0], task)
        side = _side(home, size) or home.resolution
        return home.build(home.decode(found[1])), (3, side, side)
    _refuse_near_arch(source)
    model, shape, call = _config_model(source, size, options or {})
    if call is not None:
        raise ValueError(f'{source} is a detector of MMDetection; give its backbone')
    return model, shape


def split_arch(source: str, space: str | None = None) -> tuple[str, str] | None:
    """Split a text into its search space and its canonical arch.

    Args:
        source: ``SPACE:ARCH``, or ``ARCH`` alone.
        space: The space, where the text does not name it.

    Returns:
        None where the text is no arch of any space.

    Raises:
        ValueError: A space is named, and the arch is not in it.
    """
    prefix, colon, rest = source.partition(':')
    if space is None and colon and prefix in SPACES:
        space, source = prefix, rest
    if space is not None:
        home = get_space(space)
        return space, home.encode(home.decode(source.removeprefix(f'{space}:')))
    fitting = [name for name in SPACES if holds(get_space(name), source)]
    if not fitting:
        return None
    if len(fitting) > 1 and DEFAULT_SPACE not in fitting:
        raise ValueError(
            f'{source!r} is an arch of {" and of ".join(fitting)}: name the space, as '
            f'{fitting[0]}:{source}'
        )
    return split_arch(source, DEFAULT_SPACE if len(fitting) > 1 else fitting[0])


def _refuse_near_arch(source: str) -> None:
    """Refuse a text that looks like an arch but is none."""
    if source.endswith('.py') or '::' in source:
        return
    named = re.match(r'([\w.-]+):', source)
    if named:
        prefix = named[1]
        near = difflib.get_close_matches(prefix, SPACES, n=1)
        if near:
            raise ValueError(f'no search space {prefix!r}; did you mean {near[0]!r}?')
    if ';' in source:  # as in archs of OFA's spaces, and in no name of a config
        get_space(named[1] if named else DEFAULT_SPACE).decode(source)


def holds(space: SearchSpace, source: str) -> bool:
    """Return whether a text is an arch of a space."""
    try:
        space.decode(source)
    except ValueError:
        return False
    return True


def arch_graph(
    space: SearchSpace, arch: str, size: tuple[int, int] | None = None
) -> Graph:
    """Make the graph of an arch; images of search spaces are square.

    Raises:
        ValueError: The arch is not in the space, or the size is not square.
    """
    return space.graph(space.decode(arch), _side(space, size))


def _side(space: SearchSpace, size: tuple[int, int] | None) -> int | None:
    if size is not None and size[0] != size[1]:
        raise ValueError(
            f'{size[0]}x{size[1]}: networks of {space.name} take square images'
        )
    return size and size[0]


def _onnx_graph(path: str, size: tuple[int, int] | None) -> Graph:
    from hpml_mm.predictor.graphs.onnx.reader import onnx_graph

    if size is not None:
        raise ValueError(
            f'{path}: an ONNX file has its own input size; export it again for another'
        )
    return onnx_graph(path)


def _config_graph(
    source: str, size: tuple[int, int] | None, options: Mapping[str, Any]
) -> Graph:
    # It imports PyTorch, and what follows MMPretrain or its like.
    from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised

    # Weights are not looked at, and the largest models have a billion.
    with uninitialised():
        model, shape, call = _config_model(source, size, options)
    return trace(model, shape, call)


def _config_model(
    source: str, size: tuple[int, int] | None, options: Mapping[str, Any]
) -> tuple[Any, tuple[int, int, int], Any]:
    """Model of a config, the shape of its images, and how to run it if unusual."""
    from hpml_mm.config.overrides import apply_options
    from hpml_mm.predictor.stock.config_model import (
        config_model,
        find_config,
        input_shape,
    )
    from hpml_mm.predictor.stock.detectors import detector_call

    cfg = find_config(source)
    apply_options(cfg, options)
    model = config_model(cfg, source)
    return model, input_shape(cfg, model, source, size), detector_call(model)


def parse_size(text: str) -> tuple[int, int]:
    """Read height and width in pixels of ``224`` or ``256x192``.

    Raises:
        ValueError: The text is neither.
    """
    sides = text.lower().split('x')
    if not (len(sides) in (1, 2) and all(s.isdecimal() and int(s) for s in sides)):
        raise ValueError(
            f'{text!r} is no size: write a side, or HEIGHTxWIDTH in pixels'
        )
    return int(sides[0]), int(sides[-1])
