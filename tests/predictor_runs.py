# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Short trainings of the configs for predictors, on caches of toy graphs."""

from pathlib import Path

from aiop_leaves import DATASET_OF
from mmengine.config import Config
from predictor_toys import SIZES, branched_graph, toy_label

from hpml_mm.config.work_dir import find_start_weights
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.runner import build_runner


def save_caches(folder):
    """Caches of 32 networks, and one without label, named as the real ones."""
    metrics = [metric for _, metric in DATASET_OF]
    entries = [
        Entry(
            f'{index}',
            branched_graph(blocks, channels + 8 * (index >= len(SIZES))),
            metrics=dict.fromkeys(metrics, toy_label(blocks, channels) + index / 64),
        )
        for index, (blocks, channels) in enumerate(SIZES * 2)
    ]
    entries.insert(3, Entry('other', branched_graph(5, 8)))
    for space in {space for space, _ in DATASET_OF}:
        GraphCache.from_entries(entries).save(folder / f'{space}.safetensors')


def train_leaf(path, tmp_path, **options):
    """Two epochs of a leaf; its directory and the runner."""
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'work_dirs' / path.stem)
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.default_hooks.checkpoint.interval = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.train = min(loader.dataset.train, 24)
    cfg.experiment_name = f'{tmp_path.name}-{path.stem}'
    cfg.merge_from_dict(options)
    find_start_weights(cfg)
    runner = build_runner(cfg)
    runner.train()
    return Path(cfg.work_dir), runner
