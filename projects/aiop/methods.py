# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The methods that are compared: each predicts the rest of a table from a sample."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from hpml_mm.predictor.baselines import CostLine, Ridge
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.gp.regressor import KernelRegressor
from hpml_mm.predictor.prediction import Prediction

from . import networks
from .setting import Setting

# Samples of the source tables that the kernel's scales are learnt from.
_SCALE_TASKS, _SCALE_NETS = 10, 50
# Networks of the source that a prediction without any sample draws from.
_ZERO_NETS = 400


@dataclasses.dataclass(frozen=True)
class Method:
    """One of the compared.

    Attributes:
        run: Predicts the networks to be predicted.
        seeded: Whether the setting's seed has an influence.
        pretrained: Whether it needs source tables.
    """

    run: Callable[[Setting], Prediction]
    seeded: bool = False
    pretrained: bool = False


def _macs(setting: Setting) -> Prediction:
    return _simple(CostLine(), setting.bench.costs('macs'), setting)


def _params(setting: Setting) -> Prediction:
    return _simple(CostLine(), setting.bench.costs('params'), setting)


def _ridge(setting: Setting) -> Prediction:
    return _simple(Ridge(), setting.bench.one_hot, setting)


def _ridge_sums(setting: Setting) -> Prediction:
    return _simple(Ridge(standardise=True), setting.bench.sums, setting)


def _ridge_pairs(setting: Setting) -> Prediction:
    return _simple(Ridge(), setting.bench.pairs, setting)


def _simple(
    model: CostLine | Ridge, features: np.ndarray, setting: Setting
) -> Prediction:
    train, test = setting.drawn.train, setting.drawn.test
    if not len(train):
        # Nothing says how much a cost is worth, but more of it may be better.
        return Prediction(features[test, 0], absolute=False)
    model.fit(features[train], setting.bench.labels[train])
    return Prediction(model.predict(features[test]))


def _kernel(setting: Setting) -> Prediction:
    task = setting.bench.task(setting.drawn.train)
    model = KernelRegressor()
    model.learn([task], seed=setting.seed)
    return _rest(model.condition(task), setting)


def _kernel_pretrained(setting: Setting) -> Prediction:
    rng = np.random.RandomState(setting.seed)
    samples = [
        source.task(rng.permutation(len(source))[:_SCALE_NETS])
        for source in setting.sources
        for _ in range(_SCALE_TASKS)
    ]
    model = KernelRegressor()
    model.learn(samples)
    return _rest(model.condition(setting.bench.task(setting.drawn.train)), setting)


def _kernel_zero(setting: Setting) -> Prediction:
    source = setting.sources[0]
    rng = np.random.RandomState(setting.seed)
    task = source.task(rng.permutation(len(source))[:_ZERO_NETS])
    model = KernelRegressor()
    model.learn([task], seed=setting.seed)
    return _rest(model.condition(task), setting)


def _rest(model: KernelRegressor, setting: Setting) -> Prediction:
    return model.predict(setting.bench.statistics.take(setting.drawn.test))


def _network(recipe: recipes.Recipe) -> Method:
    return Method(lambda setting: networks.from_scratch(setting, recipe), seeded=True)


def _tuned(predict: Callable[..., Prediction], *args: object) -> Method:
    return Method(lambda setting: predict(setting, *args), seeded=True, pretrained=True)


METHODS: Mapping[str, Method] = {
    'macs': Method(_macs),
    'params': Method(_params),
    'ridge': Method(_ridge),
    'ridge-sums': Method(_ridge_sums),
    'ridge-pairs': Method(_ridge_pairs),
    'kernel': Method(_kernel),
    'kernel-pretrained': Method(_kernel_pretrained, seeded=True, pretrained=True),
    'gnn': _network(recipes.AIOP),
    'residual-gnn': _network(recipes.RESIDUAL),
    'residual-gnn-pretrained': _tuned(networks.fine_tuned, recipes.RESIDUAL),
    'zero-kernel': Method(_kernel_zero, seeded=True, pretrained=True),
    'zero-residual-gnn': _tuned(networks.zero_shot, recipes.RESIDUAL),
    # AIO-P's comparison. Zero-shot: the sample gives the scale of the labels alone.
    'zero-gnn': _tuned(networks.zero_shot, recipes.AIOP_UNSCALED),
    'zero-gnn-scaled': _tuned(networks.zero_shot, recipes.AIOP),
    'zero-aiop': _tuned(networks.adapted, False),
    'tuned-gnn': _tuned(networks.fine_tuned, recipes.AIOP_UNSCALED),
    'tuned-gnn-scaled': _tuned(networks.fine_tuned, recipes.AIOP),
    'tuned-aiop': _tuned(networks.adapted, True),
}
