# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import signal

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import load_checkpoint
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from toy_tools import toy_config, toy_runner

from hpml_mm.engine.batches import SkipFirst
from hpml_mm.engine.hooks import GracefulStopHook
from hpml_mm.engine.stopping.request import StoppedBySignalError

STOP = {'type': 'hpml_mm.GracefulStopHook'}
# 24 points in batches of 4: iterations 1-6 and 7-12 of two epochs.
BY_ITER = {
    'train_cfg': {'by_epoch': False, 'max_iters': 12, 'val_interval': 4},
    'default_hooks': {
        'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 12}
    },
    'log_processor': {'by_epoch': False},
    'param_scheduler': {
        'type': 'PolyLR',
        'by_epoch': False,
        'end': 12,
        'eta_min': 0.01,
    },
}


def signal_at(iteration, name='SIGTERM'):
    return {'type': 'SignalAtHook', 'iteration': iteration, 'name': name}


def train(work_dir, hooks=(), **changes):
    """Train to the end or to the signal: the runner, and the exit code if any."""
    built = [hook for hook in hooks if not isinstance(hook, dict)]
    configured = [hook for hook in hooks if isinstance(hook, dict)]
    runner = toy_runner(work_dir, custom_hooks=[*configured, STOP], **changes)
    for hook in built:
        runner.register_hook(hook)
    try:
        runner.train()
    except StoppedBySignalError as stop:
        return runner, stop.code
    return runner, None


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.fixture(scope='module', params=[{}, BY_ITER], ids=['epochs', 'iterations'])
def unbroken(request, tmp_path_factory):
    """A run that was not interrupted, and what differs in its config."""
    return train(tmp_path_factory.mktemp('whole'), **request.param)[0], request.param


@pytest.mark.slow
@pytest.mark.parametrize('iteration', [1, 4, 6, 9])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, unbroken, iteration):
    whole, by = unbroken
    part, code = train(tmp_path / 'part', [signal_at(iteration)], **by)
    assert code == 143
    assert not torch.equal(weights(part)['out.weight'], weights(whole)['out.weight'])
    resumed, code = train(
        tmp_path / 'part',
        resume=True,
        load_from=str(tmp_path / 'part' / 'interrupted.pth'),
        **by,
    )

    assert code is None
    assert resumed.iter == whole.iter == 12
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(resumed)[name], tensor), name
    rates = [r.message_hub.get_scalar('train/lr').data[0] for r in (whole, resumed)]
    assert list(rates[1]) == list(rates[0])
    accuracies = [
        r.message_hub.get_scalar('val/accuracy/top1').data[0] for r in (whole, resumed)
    ]
    assert list(accuracies[1]) == list(accuracies[0])


def test_the_stop_says_how_to_resume(tmp_path):
    runner = toy_runner(tmp_path, custom_hooks=[signal_at(3), STOP])
    hook = next(h for h in runner.hooks if isinstance(h, GracefulStopHook))
    hook.resume_command = 'python tools/train.py toy.py --resume'
    with pytest.raises(StoppedBySignalError):
        runner.train()

    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'Stopped in epoch 1 after iteration 3' in log
    assert 'python tools/train.py toy.py --resume' in log
    pointer = (tmp_path / 'last_checkpoint').read_text()
    assert pointer == str(tmp_path / 'interrupted.pth')
    meta = torch.load(pointer, weights_only=False)['meta']
    assert (meta['epoch'], meta['iter']) == (0, 3)
    assert not list(tmp_path.glob('.*'))


def test_ctrl_c_has_the_exit_code_of_the_shell(tmp_path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    runner, code = train(tmp_path, [signal_at(2, 'SIGINT')])
    assert code == 130
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    # The checkpoint loads like any other.
    other = toy_runner(tmp_path / 'other')
    load_checkpoint(other.model, str(tmp_path / 'interrupted.pth'), strict=True)
    assert torch.equal(weights(other)['out.weight'], weights(runner)['out.weight'])


def test_accumulated_gradients_are_not_lost(tmp_path):
    wrapper = {
        'type': 'OptimWrapper',
        'optimizer': {'type': 'SGD', 'lr': 0.1},
        'accumulative_counts': 3,
    }
    train(tmp_path, [signal_at(4)], optim_wrapper=wrapper)
    checkpoint = torch.load(tmp_path / 'interrupted.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == 6


class InValidation(Hook):
    """Sends this process SIGTERM in the validation after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_val(self, runner):
        if runner.epoch == self.epoch:
            signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_the_last_validation_changes_nothing(tmp_path):
    _, code = train(tmp_path, [InValidation(2)])
    assert code is None
    assert not (tmp_path / 'interrupted.pth').exists()


def test_a_signal_in_an_earlier_validation_lets_it_end(tmp_path):
    runner, code = train(tmp_path, [InValidation(1)])
    assert code == 143
    assert len(runner.message_hub.get_scalar('val/accuracy/top1').data[0]) == 1
    meta = torch.load(tmp_path / 'interrupted.pth', weights_only=False)['meta']
    assert (meta['epoch'], meta['iter']) == (1, 6)


class AmidValidation(Hook):
    """Sends SIGUSR2 after the first of the validation's batches."""

    def __init__(self, epoch):
        self.epoch = epoch

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == self.epoch and batch_idx == 0:
            signal.raise_signal(signal.SIGUSR2)


@pytest.mark.parametrize('epoch', [1, 2])
@pytest.mark.parametrize('averages', [[], [{'type': 'EMAHook'}]], ids=['plain', 'EMA'])
def test_a_validation_that_is_left_is_made_up_for(tmp_path, epoch, averages):
    """The checkpoint has the model's own weights, which averages replace in it."""
    hooks = [{'type': 'hpml_mm.ResumeHook'}, {'type': 'hpml_mm.SummaryHook'}, *averages]
    whole, _ = train(tmp_path / 'whole', hooks)
    part = tmp_path / 'part'
    stopped, code = train(part, [AmidValidation(epoch), *hooks])
    assert code == 128 + signal.SIGUSR2
    assert stopped.iter == 6 * epoch
    done = stopped.message_hub.log_scalars.get('val/accuracy/top1')
    assert (len(done.data[0]) if done else 0) == epoch - 1
    path = str(part / 'interrupted.pth')
    resumed, code = train(part, hooks, resume=True, load_from=path)
    assert code is None
    accuracies = [
        r.message_hub.get_scalar('val/accuracy/top1').data[0] for r in (whole, resumed)
    ]
    assert list(accuracies[1]) == list(accuracies[0])
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(resumed)[name], tensor), name


@pytest.mark.parametrize('workers', [0, 2])
def test_a_sample_that_cannot_be_read_costs_nothing(tmp_path, workers):
    loader = toy_config(tmp_path).train_dataloader
    broken = {'type': 'BrokenPoints', 'size': 24}
    loader = dict(loader, dataset=broken, num_workers=workers)
    runner = toy_runner(tmp_path, custom_hooks=[STOP], train_dataloader=loader)
    with pytest.raises(OSError, match='a broken image'):
        runner.train()
    meta = torch.load(tmp_path / 'interrupted.pth', weights_only=False)['meta']
    assert meta['iter'] == runner.iter > 0
    assert 'interrupted.pth' in (tmp_path / 'last_checkpoint').read_text()


def test_nothing_is_saved_amid_an_iteration(tmp_path):
    with pytest.raises(ValueError, match='toy bug'):
        train(tmp_path, [{'type': 'FailAtHook'}])
    assert not (tmp_path / 'interrupted.pth').exists()


def test_a_validation_of_a_hook_does_not_end_an_iteration(tmp_path):
    class Validates(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 1:
                signal.raise_signal(signal.SIGTERM)
                runner.val_loop.run()

    _, code = train(tmp_path, [Validates()])
    assert code == 143
    # Two steps have been taken; amid the second, the validation would say one.
    meta = torch.load(tmp_path / 'interrupted.pth', weights_only=False)['meta']
    assert (meta['epoch'], meta['iter']) == (0, 2)


def test_no_stop_right_before_a_validation_of_a_new_interval(tmp_path):
    """After iteration 3 the loop goes over to validating after every third."""
    every = {'by_epoch': False, 'max_iters': 12, 'val_interval': 10}
    settings = {**BY_ITER, 'train_cfg': {**every, 'dynamic_intervals': [(4, 3)]}}
    runner, code = train(tmp_path, [signal_at(3)], **settings)
    assert code == 143
    assert len(runner.message_hub.get_scalar('val/accuracy/top1').data[0]) == 1
    meta = torch.load(tmp_path / 'interrupted.pth', weights_only=False)['meta']
    assert meta['iter'] == 3


def test_a_checkpoint_of_other_epochs_starts_the_epoch_anew(tmp_path):
    train(tmp_path, [signal_at(3)])
    loader = dict(toy_config(tmp_path).train_dataloader, batch_size=24)
    path = str(tmp_path / 'interrupted.pth')
    runner, _ = train(tmp_path, train_dataloader=loader, resume=True, load_from=path)
    # One iteration is an epoch now; 3 of them do not lie within the first.
    assert runner.iter == 3 + 2
    logs = ''.join(log.read_text() for log in tmp_path.glob('*/*.log'))
    assert 'which does not fit epochs of 1 iterations' in logs


def test_an_interval_below_one_is_refused():
    with pytest.raises(ValueError, match='agree_interval'):
        GracefulStopHook(agree_interval=0)


@pytest.mark.parametrize(
    'workers',
    [{}, {'num_workers': 1}, {'num_workers': 1, 'persistent_workers': True}],
    ids=['alone', 'worker', 'persistent'],
)
def test_the_first_batches_are_left_out_once(workers):
    data = list(range(6))
    batches = SkipFirst(BatchSampler(SequentialSampler(data), 2, False), skip=1)
    loader = DataLoader(data, batch_sampler=batches, collate_fn=list, **workers)
    assert list(loader) == [[2, 3], [4, 5]]
    assert list(loader) == [[0, 1], [2, 3], [4, 5]]
