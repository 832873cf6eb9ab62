# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ThroughputHook on steps and batches of all kinds."""

import pytest
import torch
from clocked_runs import ClockedNet, clocked_runner
from toy_runs import ToyNet, toy_runner

from hpml_mm.engine.hooks import ThroughputHook


class Penalty(ToyNet):
    """Its loss takes a gradient of its own."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = inputs.detach().requires_grad_()
        loss = super().forward(inputs, data_samples, mode)['loss']
        (slope,) = torch.autograd.grad(loss, inputs, create_graph=True)
        return {'loss': loss + slope.square().sum()}


def test_a_gradient_within_a_step(tmp_path):
    models = []
    hook = ThroughputHook(warmup_iters=1)
    for hooks in ([], [hook]):
        torch.manual_seed(0)
        model = Penalty()
        toy_runner(tmp_path, hooks, model=model, randomness={'seed': 0}).train()
        models.append(model)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)
    # A pass of the convolution over four images is 18,432 multiply-adds, one of the
    # head 96. There is one forward, one for the inner gradient, and for the outer one
    # those of its two factors besides the usual two.
    expected = 6 * (18432 + 96) * 1e-9
    assert hook.summary()['step(GMACs)'] == pytest.approx(expected)


def log_of(tmp_path):
    return next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.filterwarnings('ignore:Sparse')
def test_a_cost_that_is_not_known_is_said_once(tmp_path):
    class Sparse(ToyNet):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            adjacency = torch.eye(len(inputs)).to_sparse_csr()
            mixed = (adjacency @ inputs.flatten(1)).view_as(inputs)
            return super().forward(mixed, data_samples, mode)

    hook = ThroughputHook(warmup_iters=1)
    toy_runner(tmp_path, [hook], model=Sparse()).train()
    summary = hook.summary()
    assert summary['step(GMACs)'] is None
    assert summary['step/precision'] is None
    assert summary['step_time/n'] == 3
    log = log_of(tmp_path)
    assert log.count('ThroughputHook: the operations of a step') == 1
    assert 'torch.sparse_csr' in log
    assert 'count_flops=False' in log


class Popping(ClockedNet):
    def train_step(self, data, optim_wrapper):
        data = {'inputs': data.pop('inputs'), **data}
        return super().train_step(data, optim_wrapper)


class Doubling(ClockedNet):
    def train_step(self, data, optim_wrapper):
        for name, part in data.items():
            data[name] = torch.cat([part, part])
        return super().train_step(data, optim_wrapper)


@pytest.mark.parametrize('kind', [Popping, Doubling])
def test_samples_are_counted_before_the_step(tmp_path, clock, kind):
    hook = ThroughputHook(warmup_iters=1)
    hook.clock = clock
    clocked_runner(tmp_path, clock, [hook], length=1, model=kind(clock)).train()
    assert hook.summary()['throughput(img/s)'] == pytest.approx(20)


def test_unknown_later_is_said_too(tmp_path, clock):
    """The third batch, once, and only the first of those that are not known."""

    class Odd(ClockedNet):
        def train_step(self, data, optim_wrapper):
            return super().train_step(data.get('all', data), optim_wrapper)

    seen = []

    def collate(items):
        batch = torch.utils.data.default_collate(items)
        seen.append(batch)
        return batch if len(seen) < 3 else {'all': batch}

    hook = ThroughputHook(warmup_iters=1)
    hook.clock = clock
    runner = clocked_runner(tmp_path, clock, [hook], length=1, model=Odd(clock))
    runner._train_dataloader.collate_fn = collate
    runner.train()
    summary = hook.summary()
    assert summary['throughput(img/s)'] is None
    assert summary['throughput/reason'] == 'a batch does not tell its number of samples'
    assert summary['step_time/median(ms)'] == pytest.approx(200)
    log = log_of(tmp_path)
    assert log.count('does not tell its number of samples') == 1


def test_a_broken_off_training_says_why_it_has_no_rate(tmp_path, clock):
    hook = ThroughputHook(warmup_iters=1, interval=10)
    hook.clock = clock
    model = ClockedNet(clock)
    model.fail_at = 4
    with pytest.raises(RuntimeError, match='toy failure'):
        clocked_runner(tmp_path, clock, [hook], length=1, model=model).train()
    reason = hook.summary()['throughput/reason']
    assert reason == 'the training broke off within its first window of 10 steps'
