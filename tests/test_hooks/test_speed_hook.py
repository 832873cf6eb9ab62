# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn
from toy_runs import ToyNet, for_testing, on_two_ranks, toy_runner

from hpml_mm.engine.wide_batch_norm import WideBatchNorm2d

HOOK = {'type': 'hpml_mm.SpeedHook'}


def is_channels_last(weight) -> bool:
    # A weight of one input channel is contiguous in both layouts: look at the strides.
    return (
        weight.stride()
        == torch.empty(weight.shape, memory_format=torch.channels_last).stride()
    )


def test_training_gives_the_same_parameters_in_another_layout(tmp_path):
    plain, fast = toy_runner(tmp_path / 'a'), toy_runner(tmp_path / 'b', [HOOK])
    plain.train()
    fast.train()
    assert is_channels_last(fast.model.conv.weight)
    assert not is_channels_last(plain.model.conv.weight)
    for param, other in zip(
        fast.model.parameters(), plain.model.parameters(), strict=True
    ):
        torch.testing.assert_close(param, other, rtol=1e-4, atol=1e-5)
    log = next((tmp_path / 'b').glob('*/*.log')).read_text()
    assert 'SpeedHook: 1 convolution weights channels-last' in log


def test_it_acts_before_a_checkpoint_is_resumed(tmp_path):
    checkpoints = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}
    toy_runner(tmp_path, default_hooks=checkpoints).train()
    settings = {'train_cfg': {'by_epoch': True, 'max_epochs': 2}, 'resume': True}
    runner = toy_runner(tmp_path, [HOOK], **settings)
    runner.train()
    assert runner.iter == 8
    assert is_channels_last(runner.model.conv.weight)


def test_a_test_run_is_converted_too(tmp_path):
    runner = toy_runner(tmp_path, [HOOK], **for_testing())
    runner.test()
    assert is_channels_last(runner.model.conv.weight)


def test_it_can_be_switched_off(tmp_path):
    runner = toy_runner(tmp_path, [{**HOOK, 'channels_last': False}], **for_testing())
    runner.test()
    assert not is_channels_last(runner.model.conv.weight)


def test_thin_batch_norms_are_computed_by_wide_pixels(tmp_path):
    class ThinNet(ToyNet):
        def __init__(self):
            super().__init__()
            self.thin, self.thick = nn.BatchNorm2d(8), nn.BatchNorm2d(32)

    for name, hook, kind in (
        ('a', HOOK, WideBatchNorm2d),
        ('b', {**HOOK, 'channels_last': False}, nn.BatchNorm2d),
    ):
        runner = toy_runner(tmp_path / name, [hook], model=ThinNet())
        runner.train()
        assert type(runner.model.thin) is kind
        assert type(runner.model.thick) is nn.BatchNorm2d


def _train_on_a_rank(rank, folder):
    model = MMDistributedDataParallel(ToyNet())
    toy_runner(folder / str(rank), [HOOK], model=model).train()
    torch.save(model.module.state_dict(), folder / f'rank{rank}.pt')


def test_a_distributed_model_stays_in_step(tmp_path):
    on_two_ranks(_train_on_a_rank, tmp_path)
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in (0, 1))
    assert is_channels_last(first['conv.weight'])
    torch.testing.assert_close(first['fc.weight'], second['fc.weight'], rtol=0, atol=0)
