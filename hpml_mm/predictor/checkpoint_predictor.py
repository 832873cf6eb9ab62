# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors made from checkpoints of ``tools/train.py configs/aiop/...``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from hpml_mm.config.overrides import apply_options
from hpml_mm.engine.weights import read_checkpoint, state_dict_of
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.graph_dataset import GraphDataset
from hpml_mm.predictor.data.protocol import Draw
from hpml_mm.predictor.gnn.regressor import ScoreModel, build_part
from hpml_mm.registry import DATASETS

from .predictor import ScorePredictor
from .predictor_file import GNNPredictor, check_parts
from .training import card_and_range, with_scores
from .training_range import TrainingRange


def checkpoint_predictor(
    cache: str | Path,
    config: str | Path,
    checkpoint: str | Path,
    options: Mapping[str, Any] | None = None,
) -> ScorePredictor:
    """Make a predictor of a training run, scored on the networks left out of it.

    The config's data set is built on the cache, and divides it. As for all predictors,
    networks that choose the best epoch are of the sample: no score is of them.

    Args:
        cache: Graphs of the table that the run was trained on.
        config: Config of the run, with label, networks and model.
        checkpoint: Checkpoint of the run.
        options: Overrides of the config that the run had, by dotted key.

    Returns:
        As ``train_predictor``.

    Raises:
        FileNotFoundError: One of the files is not there.
        ValueError: They do not belong together, or the config trains no predictor.
    """
    for path in (config, checkpoint):
        if not Path(path).is_file():
            raise FileNotFoundError(f'there is no {path}')
    cfg = Config.fromfile(config)
    apply_options(cfg, options or {})
    data = cfg.get('train_dataloader', {}).get('dataset', {})
    if str(data.get('type')).removeprefix('hpml_mm.') != 'GraphDataset':
        raise ValueError(f'{config} trains no predictor: its data are no GraphDataset')
    dataset = DATASETS.build({**data, 'cache': str(cache)})
    if dataset.drawn is None:
        raise ValueError(f'{config} trains on all networks: none is left to test on')
    bench = Bench.of_cache(cache, dataset.metainfo['metric'], labelled_only=True)
    drawn, fitted = _of_labelled(dataset, dataset.drawn)
    settings = _without_files(cfg.model.to_dict())
    check_parts(settings)
    model = build_part(settings, ScoreModel)
    try:
        model.load_state_dict(state_dict_of(read_checkpoint(str(checkpoint))))
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} is not of {config}: {error}') from error
    card, _ = card_and_range(bench, drawn, Path(config).stem)
    statistics, sizes = bench.statistics.take(fitted), bench.sizes[fitted]
    about = card, TrainingRange.of(statistics, sizes)
    fold = dataset.table.fold
    return with_scores(GNNPredictor(*about, model.eval(), settings, fold), bench, drawn)


def _of_labelled(dataset: GraphDataset, drawn: Draw) -> tuple[Draw, np.ndarray]:
    """Sample and rest, and networks of the training, among the labelled networks."""
    known = np.flatnonzero(dataset.labelled)
    rows = (drawn.train, drawn.test, dataset.indices)
    train, test, fitted = (np.searchsorted(known, row) for row in rows)
    return Draw(drawn.seed, train, test), fitted


def _without_files(part: Any) -> Any:
    """A config without the weights that it would start from."""
    if isinstance(part, dict):
        return {k: _without_files(v) for k, v in part.items() if k != 'init_cfg'}
    return part
