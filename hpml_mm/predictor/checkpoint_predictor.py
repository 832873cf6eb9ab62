# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A checkpoint of ``tools/train.py configs/aiop/...`` as a predictor."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from hpml_mm.engine.weights import read_checkpoint, state_dict_of
from hpml_mm.predictor.experiments.bench import Bench
from hpml_mm.predictor.models.build import build_part
from hpml_mm.predictor.network_predictor import NetworkPredictor
from hpml_mm.predictor.predictor import Predictor
from hpml_mm.predictor.training import described, judged, sampled


def checkpoint_predictor(
    cache: str | Path, config: str | Path, checkpoint: str | Path
) -> Predictor:
    """A trained network of a run, judged on the networks that it did not learn from.

    Args:
        cache: The graphs that the run learnt from.
        config: Of the run; it says which label and networks, and what the model is.
        checkpoint: Of the run.

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
    data = cfg.get('train_dataloader', {}).get('dataset', {})
    if str(data.get('type')).removeprefix('hpml_mm.') != 'GraphDataset':
        raise ValueError(f'{config} trains no predictor: its data are no GraphDataset')
    bench = Bench.of_cache(cache, data.metric)
    share = data.get('train', 0.8)
    count = round(share * len(bench)) if share < 1 else int(share)
    drawn = sampled(bench, count, data.get('seed', 12345))
    settings = _without_files(cfg.model.to_dict())
    model = build_part(settings)
    try:
        model.load_state_dict(state_dict_of(read_checkpoint(str(checkpoint))))
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} is not of {config}: {error}') from error
    card, bounds = described(bench, drawn, Path(config).stem)
    fold = data.get('fold', False)
    return judged(
        NetworkPredictor(card, bounds, model.eval(), settings, fold), bench, drawn
    )


def _without_files(part: Any) -> Any:
    """A config without the weights that it would start from."""
    if isinstance(part, dict):
        return {k: _without_files(v) for k, v in part.items() if k != 'init_cfg'}
    return part
