# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph networks that saw other tasks: pre-trained, adapted, fine-tuned, as AIO-P."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.gnn import GraphRegressor, ScoreModel, recipes
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, fine_tune, fit, predict
from hpml_mm.utils.files import replacing
from projects.aiop.ada_proxy import AdaProxyRegressor
from projects.aiop.adapters import KAdapterRegressor

from .methods import Target
from .protocol import Split

#: Seed of first weights and orders.
SEED = 12345


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
        benches: Networks of the space, a bench for each task.
        source: Networks of another space, on which bases are pre-trained.
        folder: Folder of the parts.
        budget: Epochs.
    """

    benches: Sequence[Bench]
    source: Bench
    folder: Path
    budget: Budget

    def base(self, scaling: str) -> GraphRegressor:
        """Pre-train AIO-P's network; of the source a tenth chooses the best epoch."""
        recipe = dataclasses.replace(recipes.AIOP, model={'scaling': scaling})
        model = recipe.build(SEED)

        def train() -> None:
            rows = np.arange(len(self.source))
            epochs = self.budget.base
            recipes.train(model, self.source, rows, recipe, epochs, SEED)

        self._keep(model, f'base-{scaling}', train)
        return model

    def adapted(
        self, tasks: Sequence[int], scaling: str, split: Split
    ) -> KAdapterRegressor:
        """Train an adapter of each task on the 300 networks, beside a base."""
        names = [f'task{task}' for task in tasks]
        torch.manual_seed(SEED)
        model = KAdapterRegressor(self.base(scaling).encoder, names, scaling=scaling)
        drawn = '-'.join(map(str, split.sources[:3]))
        for number, task in enumerate(tasks):
            bench = self.benches[task]
            model.train_task(names[number])
            train = functools.partial(self._train, model, bench, split.sources)
            name = f'{bench.space}-{names[number]}-{scaling}-{drawn}'
            self._keep(model.adapters[number], name, train)
        model.tune(1)
        return model

    def _train(self, model: ScoreModel, bench: Bench, rows: np.ndarray) -> None:
        settings = FitSettings(epochs=self.budget.adapter, seed=SEED)
        # As in AIO-P the last weights are taken, not those of the best epoch.
        fit(model, Labelled.of(bench, rows, fold=False), settings)

    def _keep(
        self, part: torch.nn.Module, name: str, train: Callable[[], None]
    ) -> None:
        """Load a part from its file; without one, train and write it."""
        path = self.folder / f'{name}-{SEED}.pth'
        if path.is_file():
            part.load_state_dict(torch.load(path, weights_only=True))
            return
        torch.manual_seed(SEED)
        train()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            torch.save(part.state_dict(), beside)


@dataclasses.dataclass(frozen=True)
class Network:
    """Way to predict a target by a graph network.

    Attributes:
        scaling: One of ``targets.SCALINGS``.
        adapters: True for adapters of two other tasks.
        group: Fine-tune group, -1 for all of a network without adapters, 'proxy' for
            AdaProxy; None for no fine-tuning: the sample sets the labels' scale alone.
    """

    scaling: str
    adapters: bool = False
    group: int | str | None = None

    def predict(self, study: Study, split: Split, target: Target) -> np.ndarray:
        """Predict the test networks' scores of the target; greater is better.

        Args:
            study: Trained parts.
            split: Networks.
            target: Task, size of its sample, and the tasks of the adapters.
        """
        bench = study.benches[target.task]
        rows = split.labelled[: target.labelled]
        sample = Labelled.of(bench, rows, fold=False)
        model: ScoreModel = study.base(self.scaling)
        if self.adapters:
            model = study.adapted(target.others, self.scaling, split)
        if self.group is None:
            labels, macs = map(torch.as_tensor, (sample.labels, sample.macs))
            model.fit_scaler(labels, macs)
        else:
            model = self._tuned(study, model, sample)
        return predict(model, bench.table, split.test)

    def _tuned(self, study: Study, model: ScoreModel, sample: Labelled) -> ScoreModel:
        if self.group == 'proxy':
            torch.manual_seed(SEED)
            model = AdaProxyRegressor(model, scaling=self.scaling)
        elif isinstance(model, KAdapterRegressor):
            model.tune(int(self.group or 0))
        epochs = study.budget.tuning
        tuning = dataclasses.replace(recipes.AIOP.tuning, epochs=epochs, seed=SEED)
        return fine_tune(model, sample, tuning)


#: By name in the rows of results.
NETWORKS = {
    'zero-gnn': Network('none'),
    'zero-gnn-stand': Network('stand'),
    'zero-gnn-scaled': Network('stand_flops'),
    'zero-aiop-stand': Network('stand', adapters=True),
    'zero-aiop': Network('stand_flops', adapters=True),
    'tuned-gnn': Network('none', group=-1),
    'tuned-gnn-stand': Network('stand', group=-1),
    'tuned-gnn-scaled': Network('stand_flops', group=-1),
    'tuned-proxy': Network('stand_flops', group='proxy'),
    'tuned-aiop-stand': Network('stand', adapters=True, group=1),
    'tuned-aiop': Network('stand_flops', adapters=True, group=1),
    'tuned-aiop-heads': Network('stand_flops', adapters=True, group=0),
    'tuned-aiop-all': Network('stand_flops', adapters=True, group=2),
    'tuned-aiop-adapters': Network('stand_flops', adapters=True, group=3),
    'tuned-aiop-proxy': Network('stand_flops', adapters=True, group='proxy'),
}
