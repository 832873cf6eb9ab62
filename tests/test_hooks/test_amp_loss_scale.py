# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The loss scale of fp16 training: logged, restored, and alike on all ranks."""

import torch
from mmengine.optim import OptimWrapper
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from toy_runs import loader, on_two_ranks, toy_runner

from hpml_mm.engine.amp import AmpOptimWrapper, CountingGradScaler
from hpml_mm.engine.hooks import AmpHook

CHECKPOINTS = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}


class ScaledAmpHook(AmpHook):
    """Scales the loss on a CPU as the real hook does in fp16 on a GPU."""

    def before_run(self, runner):
        super().before_run(runner)
        runner.optim_wrapper.loss_scaler = CountingGradScaler('cpu', init_scale=1024.0)
        self._scaled = self._wrappers


def summary(runner) -> dict:
    return next(h for h in runner.hooks if isinstance(h, AmpHook)).summary()


def test_skipped_steps_and_scale_are_logged_and_restored(tmp_path):
    def runner_with(epochs, **settings):
        return toy_runner(
            tmp_path,
            [ScaledAmpHook(interval=2)],
            default_hooks={
                **CHECKPOINTS,
                'logger': {'type': 'LoggerHook', 'interval': 2},
            },
            train_cfg={'by_epoch': True, 'max_epochs': epochs},
            **settings,
        )

    broken = loader()
    broken['dataset'].images[:8] = float('inf')  # the first two batches
    runner = runner_with(1, train_dataloader=broken)
    runner.train()
    assert summary(runner)['amp/skipped_steps'] == 2
    assert summary(runner)['amp/scale'] == 256.0
    board = EventAccumulator(f'{runner.log_dir}/vis_data').Reload()
    scales = [(e.step, e.value) for e in board.Scalars('amp/scale')]
    skipped = [(e.step, e.value) for e in board.Scalars('amp/skipped_steps')]
    assert scales == [(2, 256.0), (4, 256.0)]
    assert skipped == [(2, 2.0), (4, 2.0)]

    resumed = runner_with(2, resume=True)
    resumed.train()
    assert resumed.iter == 8
    assert summary(resumed)['amp/scale'] == 256.0


def test_bf16_logs_no_scale(tmp_path):
    runner = toy_runner(tmp_path, [{'type': 'hpml_mm.AmpHook', 'interval': 1}])
    runner.train()
    assert not [key for key in runner.message_hub.log_scalars if 'amp' in key]


def _train_on_a_rank(rank, folder):
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    AmpOptimWrapper.convert_(wrapper)
    wrapper.loss_scaler = CountingGradScaler('cpu', init_scale=1024.0)
    x = torch.ones(3, 2)
    for inputs in (x * float('inf') if rank else x, x * (rank + 1)):
        with wrapper.optim_context(model):
            loss = model(inputs).square().mean()
        wrapper.update_params(loss)
    result = {
        'weight': model.module.weight.detach(),
        'skipped': wrapper.loss_scaler.skipped_steps(),
        'scale': wrapper.loss_scaler.get_scale(),
    }
    torch.save(result, folder / f'rank{rank}.pt')


def test_ranks_skip_the_same_step(tmp_path):
    on_two_ranks(_train_on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1))
    assert (first['skipped'], first['scale']) == (1, 512.0)
    assert (second['skipped'], second['scale']) == (1, 512.0)
    torch.testing.assert_close(first['weight'], second['weight'], rtol=0, atol=0)
