# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks of a plan: a leaf config and a graph of each."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hpml_mm.config.overrides import apply_options, load_config
from hpml_mm.experiments.search.leaf import write_leaf
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.predictor.stock.config_model import config_model, input_shape
from hpml_mm.predictor.stock.detectors import detector_call

from .body import body_of, features_of_config, swap_body
from .plan import Plan, own_supernet

# A training tells its score by the first, and leaves a checkpoint by the second.
_NEEDED = ('SummaryHook', 'GracefulStopHook')
#: Steps of a trial that are left out, and those that are timed.
WARMUP, TIMED = 3, 10


class Networks:
    """Networks of a plan, written and traced when they are asked for.

    Args:
        plan: The plan.
        archs: All architectures of it.
        folder: Folder of leaves and graphs.

    Attributes:
        note: Warning for the user; empty without any.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: The config, or its backbone, cannot be used.
    """

    def __init__(self, plan: Plan, archs: list[str], folder: Path) -> None:
        self.plan, self.archs, self.folder = plan, archs, folder
        self._entries: dict[int, Entry] = {}
        self.space = get_space(plan.space)
        self.supernet = plan.supernet and str(own_supernet(folder, plan.supernet))
        cfg = load_config(plan.config, plan.options)
        self.old = features_of_config(cfg, plan.config)
        # In most spaces strides, and whether they fit, are the same for all.
        self.note = self._note(self._body(cfg, archs[0]))

    def label(self, number: int) -> str:
        """Name of a network in its folder."""
        return f'{number:04}'

    def leaf(self, number: int) -> Path:
        """Config of a network's training."""
        return self.folder / f'{self.label(number)}.py'

    def trial(self, number: int) -> Path:
        """Config of a network's trial."""
        return self.folder / 'trials' / f'{self.label(number)}.py'

    def write(self, number: int) -> None:
        """Write the config of a network, and check the weights that it starts from.

        Raises:
            FileNotFoundError: There is no such supernet.
            ValueError: The config cannot be written as a leaf, or the supernet does
                not fit.
        """
        if self.leaf(number).is_file():
            return
        if self.supernet is not None:
            with uninitialised():
                net = OFANet(
                    self.space.name, self.archs[number], supernet=self.supernet
                )
            net.init_weights()
        change = partial(self._change, number=number)
        write_leaf(self.leaf(number), self.plan.config, change)

    def write_trial(self, number: int) -> None:
        """Write the config of a trial: some steps, and one validation."""

        def change(cfg: Config) -> None:
            self._change(cfg, number=number)
            _cut_short(cfg)

        write_leaf(self.trial(number), self.plan.config, change)

    def entry(self, number: int) -> Entry:
        """Graph of body and head, kept in the folder.

        Raises:
            ValueError: The network cannot be built or traced.
        """
        if number not in self._entries:
            path = self._graph(number)
            if path.is_file():
                self._entries[number] = GraphCache.load(path)[0]
            else:
                self._entries[number] = self._trace(number)
                GraphCache.from_entries([self._entries[number]]).save(path)
        return self._entries[number]

    def known(self) -> list[int]:
        """Numbers of the networks that any command has prepared in the folder."""
        return sorted(int(path.stem) for path in self._graph(0).parent.glob('*.cache'))

    def _graph(self, number: int) -> Path:
        return self.folder / 'graphs' / f'{self.label(number)}.cache'

    def _trace(self, number: int) -> Entry:
        name = str(self.leaf(number))
        cfg = load_config(name)
        with uninitialised():
            model = config_model(cfg, name)
        shape = input_shape(cfg, model, self.plan.config, self.plan.size)
        graph = trace(model, shape, detector_call(model))
        arch = self.archs[number]
        costs = {'macs': float(graph.total_macs), 'params': float(graph.total_params)}
        return Entry(f'{self.plan.space}:{arch}', graph, arch, costs)

    def prepare(
        self, numbers: Iterable[int], advanced: Callable[[int, int], None]
    ) -> None:
        """Write the configs of some networks, and trace their graphs.

        Raises:
            FileNotFoundError: There is no such supernet.
            ValueError: A network cannot be written, built or traced.
        """
        numbers = list(numbers)
        for done, number in enumerate(numbers, start=1):
            self.write(number)
            self.entry(number)
            advanced(done, len(numbers))

    def _change(self, cfg: Config, number: int) -> None:
        apply_options(cfg, dict(self.plan.options))
        self._body(cfg, self.archs[number])
        hooks = list(cfg.get('custom_hooks') or [])
        there = {_kind(hook) for hook in hooks}
        hooks += [{'type': f'hpml_mm.{kind}'} for kind in _NEEDED if kind not in there]
        cfg.custom_hooks = hooks

    def _body(self, cfg: Config, arch: str) -> int:
        """Put a body into a config; return the feature map that it ends with."""
        body, new = body_of(self.space, arch, self.old, self.supernet)
        swap_body(cfg, body, self.old, new, self.plan.config)
        return int(body.out_indices[-1])

    def _note(self, last: int) -> str:
        """Warn of a body whose later stages decide nothing."""
        layers = self.space.layers(
            self.space.decode(self.archs[0]), self.space.num_classes
        )
        stages = max(layer.stage for layer in layers if layer.stage is not None)
        if last == stages:
            return ''
        return (
            f'{self.plan.config} takes no feature map beyond stride '
            f'{self.old.strides[-1]}: bodies end with stage {last} of {stages}, and '
            'archs that differ behind it are the same network'
        )


def _cut_short(cfg: Config) -> None:
    """Train some batches alone, validate once, and time both."""
    unit = 'iters' if cfg.train_cfg.get('max_iters') else 'epochs'
    length = WARMUP + TIMED if unit == 'iters' else 1
    cfg.train_cfg[f'max_{unit}'] = length
    if cfg.get('val_cfg') is not None:
        cfg.train_cfg.update(val_begin=1, val_interval=length)
    if unit == 'epochs':
        loader = cfg.train_dataloader
        loader.pop('drop_last', None)  # it goes with no sampler of batches
        loader.batch_sampler = {
            'type': 'hpml_mm.LimitedBatchSampler',
            'num_batches': WARMUP + TIMED,
        }
    cfg.setdefault('default_hooks', {})['checkpoint'] = None
    timers = ('ThroughputHook', 'DataLoadRatioHook')
    hooks = [hook for hook in cfg.custom_hooks if _kind(hook) not in timers]
    hooks.append(
        {
            'type': 'hpml_mm.ThroughputHook',
            'warmup_iters': WARMUP,
            'interval': 1,
            'count_flops': False,
        }
    )
    cfg.custom_hooks = [*hooks, {'type': 'hpml_mm.DataLoadRatioHook'}]


def _kind(hook: Any) -> str:
    """Name of a hook's class, without its package."""
    kind = hook.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]
