# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Methods of the comparison: each predicts the rest of a table from a sample."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Union

import numpy as np

from hpml_mm.predictor.baselines import CostLine, one_hot, ridge
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.graph_statistics import statistic_names
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.predictor import Prediction
from hpml_mm.predictor.tasks.features import FeatureSets
from hpml_mm.predictor.tasks.regressors import (
    CostMember,
    Member,
    ProcessMember,
    TaskRegressor,
    TreesMember,
)

from . import networks
from .features import pairs, stage_sums, standardised
from .networks import Setting

if TYPE_CHECKING:
    from sklearn.linear_model import RidgeCV

# Samples of the source tables that the scales of the Gaussian process are fitted on.
_SCALE_TASKS, _SCALE_NETS = 10, 50
# Networks of the source that a prediction without any sample is conditioned on.
_ZERO_NETS = 400


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        run: Predicts the rest of a setting.
        seeded: True if the setting's seed has an influence.
        pretrained: True if it needs source tables.
    """

    run: Callable[[Setting], Prediction]
    seeded: bool = False
    pretrained: bool = False


def _macs(setting: Setting) -> Prediction:
    return _simple(CostLine(), setting.bench.macs[:, None], setting)


def _params(setting: Setting) -> Prediction:
    return _simple(CostLine(), setting.bench.params[:, None], setting)


def _ridge(setting: Setting) -> Prediction:
    return _simple(ridge(), _choices(setting.bench), setting)


def _ridge_sums(setting: Setting) -> Prediction:
    sums = stage_sums(setting.bench.space, setting.bench.archs)
    return _simple(ridge(), standardised(sums, setting.drawn.train), setting)


def _ridge_pairs(setting: Setting) -> Prediction:
    return _simple(ridge(), pairs(_choices(setting.bench)), setting)


def _choices(bench: Bench) -> np.ndarray:
    return one_hot(bench.space, bench.archs)


def _simple(
    model: Union[CostLine, 'RidgeCV'], features: np.ndarray, setting: Setting
) -> Prediction:
    train, test = setting.drawn.train, setting.drawn.test
    if not len(train):
        # Nothing says how much a cost is worth, but more of it may be better.
        return Prediction(features[test, 0], absolute=False)
    model.fit(features[train], setting.bench.labels[train])
    return Prediction(model.predict(features[test]))


def _gp(setting: Setting, *left_out: str) -> Prediction:
    """Gaussian process without the path statistics whose names begin so."""
    bench, drawn = setting.bench, setting.drawn
    statistics = bench.statistics
    names = statistic_names()[statistics.layers.shape[1] :]
    gone = [name.startswith(left_out) for name in names[: statistics.paths.shape[1]]]
    paths = np.where(gone, 0, statistics.paths)
    statistics = dataclasses.replace(statistics, paths=paths)
    task = Task(statistics.take(drawn.train), bench.labels[drawn.train])
    model = GaussianProcess()
    model.fit([task], seed=setting.seed)
    found = model.condition_on(task).predict(statistics.take(drawn.test))
    return Prediction(found.scores, found.std)


def _gp_pretrained(setting: Setting) -> Prediction:
    rng = np.random.RandomState(setting.seed)
    samples = [
        Task.of(source, rng.permutation(len(source))[:_SCALE_NETS])
        for source in setting.sources
        for _ in range(_SCALE_TASKS)
    ]
    model = GaussianProcess()
    model.fit(samples)
    task = Task.of(setting.bench, setting.drawn.train)
    return _rest(model.condition_on(task), setting)


def _gp_zero(setting: Setting) -> Prediction:
    source = setting.sources[0]
    rng = np.random.RandomState(setting.seed)
    task = Task.of(source, rng.permutation(len(source))[:_ZERO_NETS])
    model = GaussianProcess()
    model.fit([task], seed=setting.seed)
    return _rest(model.condition_on(task), setting)


def _rest(model: GaussianProcess, setting: Setting) -> Prediction:
    found = model.predict(setting.bench.statistics.take(setting.drawn.test))
    return Prediction(found.scores, found.std)


def _regressed(setting: Setting, *members: Member) -> Prediction:
    """Mean of members on the statistics of the graph and the logarithms of costs."""
    bench, drawn = setting.bench, setting.drawn
    sides = bench.sizes.prod(axis=1)
    costs = np.log(np.stack([bench.macs, sides, bench.params], axis=1))
    features = FeatureSets((*bench.statistics.feature_sets, costs))
    model = TaskRegressor(members)
    model.fit(features.take(drawn.train), bench.labels[drawn.train])
    return Prediction(model.predict(features.take(drawn.test)))


def _network(recipe: recipes.Recipe) -> Method:
    return Method(lambda setting: networks.from_scratch(setting, recipe), seeded=True)


def _tuned(predict: Callable[..., Prediction], *args: object) -> Method:
    return Method(lambda setting: predict(setting, *args), seeded=True, pretrained=True)


# Names are those of the rows of results; ``kernel`` is the Gaussian process.
METHODS: Mapping[str, Method] = {
    'macs': Method(_macs),
    'params': Method(_params),
    'ridge': Method(_ridge),
    'ridge-sums': Method(_ridge_sums),
    'ridge-pairs': Method(_ridge_pairs),
    'kernel': Method(_gp),
    'kernel-no-skewness': Method(lambda setting: _gp(setting, 'skewness')),
    # Without skewness too: means and extremes along paths are left.
    'kernel-no-covariance': Method(
        lambda setting: _gp(setting, 'skewness', 'covariance')
    ),
    'kernel-pretrained': Method(_gp_pretrained, seeded=True, pretrained=True),
    'trees': Method(lambda setting: _regressed(setting, TreesMember())),
    'mean': Method(lambda setting: _regressed(setting, ProcessMember(), TreesMember())),
    'mean-size': Method(
        lambda setting: _regressed(
            setting, ProcessMember(), TreesMember(), CostMember()
        )
    ),
    'gnn': _network(recipes.AIOP),
    'residual-gnn': _network(recipes.RESIDUAL),
    'residual-gnn-pretrained': _tuned(networks.fine_tuned, recipes.RESIDUAL),
    'zero-kernel': Method(_gp_zero, seeded=True, pretrained=True),
    'zero-residual-gnn': _tuned(networks.zero_shot, recipes.RESIDUAL),
    # AIO-P's comparison. Zero-shot: the sample gives the scale of the labels alone.
    'zero-gnn': _tuned(networks.zero_shot, networks.AIOP_UNSCALED),
    'zero-gnn-scaled': _tuned(networks.zero_shot, recipes.AIOP),
    'zero-aiop': _tuned(networks.adapted, False),
    'tuned-gnn': _tuned(networks.fine_tuned, networks.AIOP_UNSCALED),
    'tuned-gnn-scaled': _tuned(networks.fine_tuned, recipes.AIOP),
    'tuned-aiop': _tuned(networks.adapted, True),
}
