# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A run that diverges ends as failed, with its last good checkpoint."""

import json
import math
import re

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import EarlyStoppingHook, EMAHook, Hook
from toy_runs import ToyNet, for_validation, toy_runner
from toy_tools import TOY, call_tool, toy_config
from two_ranks import on_two_ranks

from hpml_mm.config.command.errors import USER_ERROR
from hpml_mm.engine.hooks import DivergenceHook, SummaryHook
from hpml_mm.engine.hooks.divergence_hook import CHECKS, DivergedError
from hpml_mm.engine.weights import read_checkpoint
from hpml_mm.runner import build_runner

EXPLODES = dict.fromkeys(range(5, 13), 1e4)
BY_ITERATION = {'train_cfg': {'by_epoch': False, 'max_iters': 12}}


class WeightAt(Hook):
    """Sets a weight after an iteration, from 1, before any other hook."""

    priority = 'HIGHEST'

    def __init__(self, iteration: int, name: str, value: float = math.nan) -> None:
        self.iteration, self.name, self.value = iteration, name, value

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            runner.model.state_dict()[self.name].view(-1)[0] = self.value


class LossOf(ToyNet):
    """Multiplies the loss of each step from 1."""

    def __init__(self, factors: dict[int, float]) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, inputs, data_samples=None, mode='tensor'):
        found = super().forward(inputs, data_samples, mode)
        if mode == 'loss':
            found['loss'] = found['loss'] * self.factors.get(len(self.dtypes[mode]), 1)
        return found


class Scores(BaseMetric):
    def __init__(self, **scores) -> None:
        super().__init__()
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return self.scores


def watched(work_dir, *hooks, checkpoint=None, arguments=None, **settings):
    if checkpoint is not None:
        checkpoint = {'type': 'hpml_mm.CheckpointHook', 'by_epoch': False, **checkpoint}
    runner = toy_runner(
        work_dir, **{'default_hooks': {'checkpoint': checkpoint}, **settings}
    )
    for hook in (*hooks, DivergenceHook(**(arguments or {}))):
        runner.register_hook(hook)
    return runner


@pytest.mark.parametrize(
    ('model', 'hooks', 'ended', 'reason'),
    [
        (LossOf({5: math.nan}), (), 7, 'iteration 8: train/loss is nan'),
        (LossOf({5: math.inf}), (), 7, 'train/loss is (inf|nan)'),
        (
            LossOf(EXPLODES),
            (),
            11,
            r'train/loss grows: .* began',
        ),
        (ToyNet(), (WeightAt(4, 'backbone.1.running_var'),), 3, 'backbone.1.running_v'),
        (ToyNet(), (WeightAt(4, 'head.2.bias', math.inf),), 3, 'in head.2.bias'),
    ],
)
def test_it_is_noticed_at_the_next_look(tmp_path, model, hooks, ended, reason):
    arguments = {'interval': 4}
    hooks = (*hooks, SummaryHook())
    runner = watched(tmp_path, *hooks, model=model, arguments=arguments, **BY_ITERATION)
    with pytest.raises(DivergedError, match=reason) as caught:
        runner.train()
    assert '\n' not in str(caught.value)
    assert runner.iter == ended
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['status'] == 'failed'
    assert summary['reason'] == f'DivergedError: {caught.value}'


def test_as_often_as_the_log(tmp_path):
    hooks = {'checkpoint': None, 'logger': {'type': 'LoggerHook', 'interval': 3}}
    model = LossOf({4: math.nan})
    runner = watched(tmp_path, model=model, default_hooks=hooks, **BY_ITERATION)
    with pytest.raises(DivergedError, match='iteration 6'):
        runner.train()


def test_before_a_checkpoint_between_two_lines_of_the_log(tmp_path):
    checkpoint = {'interval': 5, 'max_keep_ckpts': 1}
    bad = WeightAt(8, 'head.2.weight')
    runner = watched(tmp_path, bad, checkpoint=checkpoint, **BY_ITERATION)
    with pytest.raises(DivergedError) as caught:
        runner.train()
    kept = tmp_path / 'iter_5.pth'
    assert [*tmp_path.glob('*.pth')] == [kept]
    assert (tmp_path / 'last_checkpoint').read_text() == str(kept)
    assert f'the last good checkpoint is {kept}' in str(caught.value)


def test_before_a_validation_whose_score_may_be_good(tmp_path):
    scores = {'val_evaluator': Evaluator(Scores(accuracy=99.0))}
    runner = watched(
        tmp_path,
        WeightAt(6, 'head.2.weight'),
        checkpoint={'by_epoch': True, 'interval': 1, 'save_best': 'accuracy'},
        arguments={'interval': 100},
        train_cfg={'by_epoch': True, 'max_epochs': 3},
        **{**for_validation(), **scores},
    )
    with pytest.raises(DivergedError):
        runner.train()
    assert [one.name for one in tmp_path.glob('best*')] == ['best_accuracy_epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_1.pth')


def test_averaged_weights_are_looked_at_too(tmp_path):
    ema = EMAHook()

    class Break(WeightAt):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == self.iteration:
                ema.ema_model.module.state_dict()[self.name].view(-1)[0] = self.value

    hooks = ema, Break(5, 'head.2.bias')
    runner = watched(tmp_path, *hooks, checkpoint={'interval': 6}, **BY_ITERATION)
    with pytest.raises(DivergedError, match='in head.2.bias'):
        runner.train()
    assert not [*tmp_path.glob('*.pth')]


@pytest.mark.parametrize(
    ('scores', 'best', 'hooks', 'named'),
    [
        ({'a': 1.0, 'b': math.nan}, 'b', (), 'b'),
        ({'a': 1.0, 'b': math.inf}, 'b', (), 'b'),
        ({'a': math.nan, 'b': 1.0}, 'b', (), None),  # it decides nothing
        ({'a': 1.0, 'b': math.nan}, None, (), None),
        ({'a': math.nan, 'b': 1.0}, None, (), 'a'),
        ({'a': 1.0, 'loss': math.nan}, 'a', (), 'loss'),
        ({'a': 1.0, 'b': math.nan}, 'a', (EarlyStoppingHook('b', rule='less'),), 'b'),
        ({'a': 1.0, 'b': 'text'}, 'a', (), None),
        ({'a': 1, 'b': None}, 'a', (), None),
    ],
)
def test_a_score_that_decides_something(tmp_path, scores, best, hooks, named):
    checkpoint = {'by_epoch': True, 'save_best': best, 'rule': 'greater'}
    runner = watched(
        tmp_path,
        *hooks,
        checkpoint=checkpoint if best else None,
        **for_validation() | {'val_evaluator': Evaluator(Scores(**scores))},
    )
    if named is None:
        runner.train()
        return
    with pytest.raises(DivergedError, match=f'the score {named} is (nan|inf)'):
        runner.train()
    assert not [*tmp_path.glob('best*')]


def test_a_validation_alone_may_give_what_it_likes(tmp_path):
    scores = {'val_evaluator': Evaluator(Scores(a=math.nan))}
    runner = watched(tmp_path, **{**for_validation(), **scores})
    assert math.isnan(runner.val()['a'])


def test_a_mask_may_be_infinite_and_a_weight_may_not(tmp_path):
    model = ToyNet()
    model.register_buffer('mask', torch.tensor([0.0, -math.inf]))
    ema = {'type': 'EMAHook'}
    watched(tmp_path, custom_hooks=[ema], checkpoint={}, model=model).train()
    model.head[2].bias.data[0] = math.nan
    with pytest.raises(DivergedError, match='begin with head.2.bias'):
        watched(tmp_path, model=model).train()


def test_steps_that_a_loss_scaler_leaves_out_are_no_error(tmp_path):
    class Scaler(Hook):
        def before_train(self, runner):
            runner.optim_wrapper.loss_scaler = torch.amp.GradScaler('cpu')

    class SkipsLoss(LossOf):
        def forward(self, *args, mode='tensor', **kwargs):
            found = super().forward(*args, mode=mode, **kwargs)
            if mode == 'loss':
                found['loss'] = found['loss'].nan_to_num().detach() * 0 + (
                    found['loss'].detach() + sum(p.sum() for p in self.parameters()) * 0
                )
            return found

    few, all_of_them = {2: math.nan, 3: math.inf}, dict.fromkeys(range(1, 13), math.nan)
    arguments = {'interval': 4}
    parts = {'arguments': arguments, **BY_ITERATION}
    watched(tmp_path, Scaler(), model=SkipsLoss(few), **parts).train()
    with pytest.raises(DivergedError, match='loss is nan'):
        watched(tmp_path, Scaler(), model=SkipsLoss(all_of_them), **parts).train()


def test_a_resumed_run_keeps_its_scale(tmp_path):
    growing = LossOf(dict.fromkeys(range(1, 13), 1e4))
    first = watched(tmp_path, checkpoint={'interval': 6}, **BY_ITERATION)
    first.train()
    rest = watched(
        tmp_path,
        model=growing,
        arguments={'interval': 6},
        resume=True,
        load_from=str(tmp_path / 'iter_6.pth'),
        **BY_ITERATION,
    )
    with pytest.raises(DivergedError, match='grows'):
        rest.train()


def test_a_run_that_is_resumed_at_its_end_saves_the_scale_again(tmp_path):
    watched(tmp_path, checkpoint={'interval': 12}, **BY_ITERATION).train()
    path = tmp_path / 'iter_12.pth'
    rest = watched(tmp_path, resume=True, load_from=str(path), **BY_ITERATION)
    rest.train()
    rest.save_checkpoint(str(tmp_path), 'again.pth', by_epoch=False)
    saved, again = (read_checkpoint(str(p)) for p in (path, tmp_path / 'again.pth'))
    assert again['hpml_mm_first_loss'] == saved['hpml_mm_first_loss'] != {}


@pytest.mark.parametrize('checks', [(), ('growth', 'weights')])
def test_it_can_be_switched_off(tmp_path, checks):
    class Harmless(ToyNet):
        """The loss is a NaN that leaves the weights alone."""

        def forward(self, *args, mode='tensor', **kwargs):
            found = super().forward(*args, mode=mode, **kwargs)
            return {'loss': found['loss'] + math.nan} if mode == 'loss' else found

    arguments = {'checks': checks, 'interval': 2}
    watched(tmp_path, model=Harmless(), arguments=arguments).train()


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ({'interval': 0}, 'interval .* 0'),
        ({'factor': 1.0}, 'factor .* 1.0'),
        ({'checks': ['los']}, "checks has 'los'"),
    ],
)
def test_wrong_arguments(arguments, named):
    with pytest.raises(ValueError, match=named):
        DivergenceHook(**arguments)


def diverge_in_one(rank, folder):
    bad = [WeightAt(2, 'head.2.bias')] if rank == 1 else []
    runner = watched(folder / str(rank), *bad, arguments={'interval': 2})
    found = 'NaN or an infinity in head.2.bias' if rank == 1 else 'another process'
    with pytest.raises(DivergedError, match=found):
        runner.train()


def test_all_processes_end(tmp_path):
    on_two_ranks(diverge_in_one, tmp_path)


@pytest.mark.parametrize('given', [None, {'type': 'hpml_mm.DivergenceHook'}])
def test_every_run_has_one(tmp_path, given):
    cfg = toy_config(tmp_path)
    if given:
        cfg.custom_hooks.append({**given, 'checks': ()})
    hooks = [h for h in build_runner(cfg).hooks if isinstance(h, DivergenceHook)]
    assert [hook.checks for hook in hooks] == [() if given else CHECKS]


def test_the_tool_ends_with_one_line_and_a_code(tmp_path):
    rate = 'optim_wrapper.optimizer.lr=1e30'
    done = call_tool('train.py', TOY, '--cfg-options', rate, cwd=tmp_path)
    assert done.returncode == USER_ERROR
    assert re.fullmatch(
        'error: training diverged .*lower learning rate.*\n', done.stderr
    )
