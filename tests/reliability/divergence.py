# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that go astray: are they noticed, and is the last good checkpoint kept?"""

import json
import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from harness import ToyData, ToyNet, toy_runner
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from outcomes import Outcome, main

from hpml_mm.engine.hooks import DivergenceHook, SummaryHook
from hpml_mm.engine.hooks.divergence_hook import DivergedError

PROMISE = (
    'NaN or diverging loss, NaN in weights or scores: noticed within a log interval, '
    'failed with the reason, the last good checkpoint kept'
)
HEALTHY = 'healthy losses, however rough, raise no alarm'
INTERVAL, BEGIN, END = 10, 23, 60
NAN, INF = math.nan, math.inf
#: Value of the loss in an iteration from 1, given what it would be.
Loss = Callable[[int, float], float]


@dataclass
class Case:
    """A change of a training from iteration ``BEGIN`` on.

    Attributes:
        loss: Value of the loss.
        weight: Value of a weight.
        running: Value of a running mean.
        score: Value of the score, which is the better the smaller.
        reason: Words of the reason; None for a healthy training.
    """

    reason: str | None
    loss: Loss | None = None
    weight: float | None = None
    running: float | None = None
    score: float | None = None
    by_epoch: bool = False
    amp: bool = False


def _once(value: float) -> Loss:
    return lambda i, loss: value if i == BEGIN else loss


def _from(value: float) -> Loss:
    return lambda i, loss: value if i >= BEGIN else loss


SICK = {
    'NaN once': Case('loss is nan', _once(NAN)),
    'NaN from then on': Case('loss is nan', _from(NAN)),
    'infinite': Case('loss is inf', _once(INF)),
    'minus infinite': Case('loss is -inf', _from(-INF)),
    'NaN, by epochs': Case('loss is nan', _once(NAN), by_epoch=True),
    'NaN in all steps that are scaled': Case('loss is nan', _from(NAN), amp=True),
    'explodes': Case('grows', lambda i, x: x * 3.0 ** max(i - BEGIN, 0)),
    'explodes at once': Case('grows', lambda i, x: x * 1e4 ** min(i - 1, 2)),
    'stays at a million': Case('grows', _from(1e6)),
    'explodes, by epochs': Case('grows', _from(1e5), by_epoch=True),
    'NaN in a weight': Case('NaN or an infinity in layer.weight', weight=NAN),
    'infinite weight': Case('NaN or an infinity in layer.weight', weight=INF),
    'weight, by epochs': Case('layer.weight', weight=NAN, by_epoch=True),
    'NaN in a running mean': Case('NaN or an infinity in running', running=NAN),
    'infinite running mean': Case('NaN or an infinity in running', running=INF),
    'NaN score': Case('the score error is nan', score=NAN),
    'infinite score': Case('the score error is -inf', score=-INF),
    'score, by epochs': Case('the score error is nan', score=NAN, by_epoch=True),
}
SOUND = {
    'plain': Case(None),
    'plain, by epochs': Case(None, by_epoch=True),
    'noise of a factor of 20': Case(None, lambda i, x: x * 20 ** math.sin(i * 7.0)),
    'one outlier': Case(None, _once(1e6)),
    'two outliers': Case(None, lambda i, x: 1e6 if i in (BEGIN, BEGIN + 1) else x),
    'restart from overfitting': Case(None, lambda i, x: 1e-6 if 20 < i < 40 else 3.0),
    'rises tenfold': Case(None, lambda i, x: x * 10 if i >= BEGIN else x),
    'no loss in the first batch': Case(None, lambda i, x: x if i > 1 else 0.0),
    'a critic, of both signs': Case(None, lambda i, x: -1e-3 * 1.5**i),
    'two skipped steps that are scaled': Case(
        None, lambda i, x: NAN if i in (BEGIN, BEGIN + 1) else x, amp=True
    ),
}


class SickNet(ToyNet):
    """A model whose loss, weights or running mean go wrong."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case, self.steps = case, 0
        self.register_buffer('running', torch.zeros(2))
        self.register_buffer('mask', torch.tensor([0.0, -INF]))

    def forward(self, inputs, labels, mode='loss'):
        scores = super().forward(inputs, labels, mode)
        if mode != 'loss':
            return list(scores)
        self.steps += 1
        loss, case = scores['loss'], self.case
        if case.loss:
            # The value alone: what it does to the weights is a case of its own.
            wanted = case.loss(self.steps, loss.item())
            loss = loss + (torch.tensor(wanted) - loss.detach())
        if self.steps >= BEGIN and case.weight is not None:
            # The loss does not need that weight, and tells nothing.
            loss = self.layer.bias.square().sum()
            self.layer.weight.data[0, 0] = case.weight
        if self.steps >= BEGIN and case.running is not None:
            self.running[1] = case.running
        return dict(loss=loss)


class Score(BaseMetric):
    """A score that falls, until it is none."""

    def __init__(self, case: Case, net: SickNet) -> None:
        super().__init__()
        self.case, self.net = case, net

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        late = self.net.steps >= BEGIN and self.case.score is not None
        return dict(error=self.case.score if late else 1 / self.net.steps)


class Scaler(Hook):
    """Pretends that a loss scaler leaves out steps, which a CPU has none for."""

    def before_train(self, runner):
        runner.optim_wrapper.loss_scaler = torch.amp.GradScaler('cpu')


def train(folder: Path, case: Case, ours: bool) -> tuple[Runner, Exception | None]:
    """Train a case; the error that ended it is returned."""
    net = SickNet(case)
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=ToyData(INTERVAL * 4),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    runner = toy_runner(
        folder,
        dict(
            type='hpml_mm.CheckpointHook' if ours else 'mmengine.CheckpointHook',
            by_epoch=case.by_epoch,
            interval=1 if case.by_epoch else 4,
            save_best='error',
            rule='less',
        ),
        model=net,
        **({'train_dataloader': loader} if case.by_epoch else {}),
        train_cfg=dict(by_epoch=True, max_epochs=END // INTERVAL)
        if case.by_epoch
        else dict(by_epoch=False, max_iters=END, val_interval=4),
        val_dataloader=loader | dict(dataset=ToyData(4)),
        val_evaluator=[Score(case, net)],
        val_cfg={},
    )
    if case.amp:
        runner.register_hook(Scaler(), 'VERY_HIGH')
    runner.register_hook(SummaryHook())
    if ours:
        runner.register_hook(DivergenceHook())
    MMLogger.get_current_instance().setLevel(logging.CRITICAL)
    try:
        runner.train()
    except Exception as error:
        return runner, error
    return runner, None


def broken_checkpoint(folder: Path) -> str | None:
    """Tell what is wrong with the checkpoints that are left; None if nothing is."""
    pointer = folder / 'last_checkpoint'
    if not pointer.is_file() or not Path(pointer.read_text()).is_file():
        return 'the last good checkpoint is gone'
    paths = [*folder.glob('*.pth')]
    if not any(path.name.startswith('best_') for path in paths):
        return 'the best checkpoint is gone'
    for path in paths:
        state = torch.load(path, weights_only=False)['state_dict']
        for name, tensor in state.items():
            if name != 'mask' and not tensor.isfinite().all():
                return f'{path.name} was saved with {name} that is not finite'
    return None


def sick(case: Case, ours: bool) -> str | None:
    """Train a case that goes astray; what is wrong with its end, None if nothing is."""
    assert case.reason is not None
    with tempfile.TemporaryDirectory() as name:
        runner, error = train(Path(name), case, ours)
        text = str(error)
        if error is None or '\n' in text or (ours and type(error) is not DivergedError):
            return f'ended with {error!r}; {broken_checkpoint(Path(name))}'
        summary = json.loads(Path(name, 'summary.json').read_text())
        ended = summary['status'], summary['reason'].partition(': ')[2]
        if case.reason not in text or ended != ('failed', text):
            return f'the reason was {text}'
        # Half an interval of losses is needed to tell growth from outliers.
        if runner.iter > BEGIN + INTERVAL + INTERVAL // 2:
            return f'noticed in iteration {runner.iter + 1}'
        return broken_checkpoint(Path(name))


def sound(case: Case) -> str | None:
    """Train a case that is well; what ended it early, None if it was let alone."""
    with tempfile.TemporaryDirectory() as name:
        runner, error = train(Path(name), case, ours=True)
        return repr(error) if error or runner.iter != END else None


def run(quick: bool) -> list[Outcome]:
    """Train all cases; in full, those that go astray with MMEngine alone, too."""
    ours, stock = Outcome(PROMISE, 'hpml_mm'), Outcome(PROMISE, 'stock')
    alarms = Outcome(HEALTHY, 'hpml_mm')
    step = 3 if quick else 1
    for name, case in list(SICK.items())[::step]:
        ours.add(name, sick(case, ours=True))
        if not quick:
            stock.add(name, sick(case, ours=False))
    for name, case in list(SOUND.items())[::step]:
        alarms.add(name, sound(case))
    return [ours, alarms] if quick else [ours, stock, alarms]


if __name__ == '__main__':
    main(run)
