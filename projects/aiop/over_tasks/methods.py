# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors of a task that saw other tasks: pre-trained, adapted, fine-tuned."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.gnn import GraphRegressor, ScoreModel, recipes
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, fine_tune, fit, predict
from hpml_mm.utils.files import replacing
from projects.aiop.ada_proxy import AdaProxyRegressor
from projects.aiop.adapters import KAdapterRegressor

from .data import TaskDraw

SCALINGS = ('none', 'stand', 'stand_flops')


@dataclasses.dataclass(frozen=True)
class Budget:
    """Epochs of the three trainings; the defaults are AIO-P's.

    Attributes:
        base: Of the pre-training.
        adapter: Of each adapter.
        tuning: Of the fine-tuning on the target's sample.
    """

    base: int = 40
    adapter: int = 100
    tuning: int = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Trained parts of one space, each made once and kept.

    Attributes:
        space: Name of the space.
        benches: Its networks, by task.
        source: Networks of another space, on which bases are pre-trained.
        folder: Folder of the parts.
        budget: Epochs.
        seed: Seed of first weights and orders.
    """

    space: str
    benches: Mapping[str, Bench]
    source: Bench
    folder: Path
    budget: Budget
    seed: int

    def base(self, scaling: str) -> GraphRegressor:
        """Pre-train AIO-P's network; of the source a tenth chooses the best epoch."""
        recipe = dataclasses.replace(recipes.AIOP, model={'scaling': scaling})
        model = recipe.build(self.seed)

        def train() -> None:
            rows = np.arange(len(self.source))
            epochs = self.budget.base
            recipes.train(model, self.source, rows, recipe, epochs, self.seed)

        self._keep(model, f'base-{scaling}', train)
        return model

    def adapted(
        self, tasks: Sequence[str], scaling: str, draw: TaskDraw
    ) -> KAdapterRegressor:
        """A base with an adapter for each task, trained on the networks with labels."""
        torch.manual_seed(self.seed)
        model = KAdapterRegressor(self.base(scaling).encoder, tasks, scaling=scaling)
        for number, task in enumerate(tasks):
            adapter = model.adapters[number]
            model.train_task(task)
            bench = self.benches[task]
            train = functools.partial(self._train, model, bench, draw.others)
            self._keep(adapter, f'adapter-{task}-{scaling}-{draw.seed}', train)
        model.tune(1)
        return model

    def _train(self, model: ScoreModel, bench: Bench, rows: np.ndarray) -> None:
        settings = FitSettings(epochs=self.budget.adapter, seed=self.seed)
        # As in AIO-P the last weights are taken, not those of the best epoch.
        fit(model, Labelled.of(bench, rows, fold=False), settings)

    def _keep(
        self, part: torch.nn.Module, name: str, train: Callable[[], None]
    ) -> None:
        """Load a part from its file; without one, train and write it."""
        path = self.folder / f'{self.space}-{name}-{self.seed}.pth'
        if name.startswith('base'):  # the same for all spaces
            path = self.folder / f'{name}-{self.seed}.pth'
        if path.is_file():
            part.load_state_dict(torch.load(path, weights_only=True))
            return
        torch.manual_seed(self.seed)
        train()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            torch.save(part.state_dict(), beside)


@dataclasses.dataclass(frozen=True)
class Method:
    """Way to predict a target.

    Attributes:
        scaling: One of ``SCALINGS``.
        adapters: True for adapters of two other tasks.
        group: Fine-tune group, -1 for all of a network without adapters, 'proxy' for
            AdaProxy; None for no fine-tuning: the sample sets the labels' scale alone.
    """

    scaling: str
    adapters: bool = False
    group: int | str | None = None

    @torch.no_grad()
    def _scaled(self, model: ScoreModel, sample: Labelled) -> ScoreModel:
        labels = torch.as_tensor(sample.labels)
        model.fit_scaler(labels, torch.as_tensor(sample.macs))
        return model

    def predict(
        self, study: Study, target: str, others: Sequence[str], draw: TaskDraw
    ) -> np.ndarray:
        """Predict the test networks' scores of the target, in the unit of its metric.

        Args:
            study: Trained parts.
            target: The task.
            others: The tasks of the adapters; not used without adapters.
            draw: Split of the networks.
        """
        bench = study.benches[target]
        sample = Labelled.of(bench, draw.sample, fold=False)
        model: ScoreModel
        if self.adapters:
            model = study.adapted(others, self.scaling, draw)
        else:
            model = study.base(self.scaling)
        if self.group is None:
            model = self._scaled(copy.deepcopy(model), sample)
        else:
            if self.group == 'proxy':
                torch.manual_seed(study.seed)
                model = AdaProxyRegressor(model, scaling=self.scaling)
            elif isinstance(model, KAdapterRegressor):
                model.tune(int(self.group))
            settings = dataclasses.replace(
                recipes.AIOP.tuning, epochs=study.budget.tuning, seed=study.seed
            )
            model = fine_tune(model, sample, settings)
        return predict(model, bench.table, draw.test)


#: By name in the rows of results.
METHODS = {
    'zero-gnn': Method('none'),
    'zero-gnn-stand': Method('stand'),
    'zero-gnn-scaled': Method('stand_flops'),
    'zero-aiop-stand': Method('stand', adapters=True),
    'zero-aiop': Method('stand_flops', adapters=True),
    'tuned-gnn': Method('none', group=-1),
    'tuned-gnn-stand': Method('stand', group=-1),
    'tuned-gnn-scaled': Method('stand_flops', group=-1),
    'tuned-proxy': Method('stand_flops', group='proxy'),
    'tuned-aiop-stand': Method('stand', adapters=True, group=1),
    'tuned-aiop': Method('stand_flops', adapters=True, group=1),
    'tuned-aiop-heads': Method('stand_flops', adapters=True, group=0),
    'tuned-aiop-all': Method('stand_flops', adapters=True, group=2),
    'tuned-aiop-adapters': Method('stand_flops', adapters=True, group=3),
    'tuned-aiop-proxy': Method('stand_flops', adapters=True, group='proxy'),
}
