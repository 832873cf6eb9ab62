# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import warnings

import pytest
import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmpretrain.structures import DataSample
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import Dataset
from toy_runs import ToyImages, for_testing, for_validation, loader, toy_runner
from two_ranks import on_two_ranks

from hpml_mm.engine.amp import AmpOptimWrapper, CountingGradScaler
from hpml_mm.engine.hooks import AmpHook

HOOK = {'type': 'hpml_mm.AmpHook'}


def amp_hook(runner) -> AmpHook:
    return next(hook for hook in runner.hooks if isinstance(hook, AmpHook))


def test_training_equals_a_hand_written_autocast_loop(tmp_path):
    expected = toy_runner(tmp_path / 'unused').model
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9)
    data = ToyImages()
    for images, labels in zip(data.images.split(4), data.labels.split(4), strict=True):
        with torch.autocast('cpu', torch.bfloat16):
            loss = expected(images, labels, mode='loss')['loss']
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    runner = toy_runner(tmp_path, [{**HOOK, 'interval': 1}])
    runner.train()
    assert set(runner.model.dtypes['loss']) == {torch.bfloat16}
    for param, other in zip(
        runner.model.parameters(), expected.parameters(), strict=True
    ):
        torch.testing.assert_close(param, other, rtol=0, atol=0)
    assert amp_hook(runner).summary() == {
        'precision': 'bf16',
        'precision/val': None,
        'amp/contexts': 4,
    }
    assert not [key for key in runner.message_hub.log_scalars if 'amp' in key]


def test_schedules_and_parameter_settings_survive(tmp_path):
    def train(folder, hooks):
        runner = toy_runner(
            tmp_path / folder,
            hooks,
            optim_wrapper={
                'optimizer': {'type': 'SGD', 'lr': 0.1},
                'clip_grad': {'max_norm': 1.0},
                'accumulative_counts': 2,
                'paramwise_cfg': {'bias_lr_mult': 2.0},
            },
            param_scheduler={'type': 'ExponentialLR', 'gamma': 0.5, 'by_epoch': False},
        )
        runner.train()
        return runner

    wrapper = train('amp', [HOOK]).optim_wrapper
    assert isinstance(wrapper, AmpOptimWrapper)
    assert wrapper.clip_grad_kwargs == {'max_norm': 1.0}
    assert wrapper.get_lr() == train('fp32', []).optim_wrapper.get_lr()
    (base_lr,) = wrapper.get_lr()['base_lr']
    assert base_lr < 0.1
    lrs = {group['lr'] for group in wrapper.optimizer.param_groups}
    assert lrs == {base_lr, 2 * base_lr}


def test_schedules_see_the_steps_of_the_converted_wrapper(tmp_path):
    schedule = {'type': 'ExponentialLR', 'gamma': 0.5, 'by_epoch': False}
    runner = toy_runner(tmp_path, [HOOK], param_scheduler=schedule)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        runner.train()
    assert not [w for w in caught if 'optimizer.step' in str(w.message)]
    assert runner.optim_wrapper._global_step == 3  # four updates, counted from -1


def test_fp16_on_a_cpu_is_an_error_before_the_first_step_but_not_in_a_test(tmp_path):
    runner = toy_runner(tmp_path, [{**HOOK, 'dtype': 'float16'}], **for_testing())
    assert runner.test() == {'count': 16}
    assert runner.model.dtypes['predict'] == [torch.float32] * 4
    with pytest.raises(ValueError, match='"float16" does not work.*"cpu".*"bfloat16"'):
        runner.train()
    assert runner.model.dtypes['loss'] == []


def test_an_unknown_precision_of_validation_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="val is 'bf16', use"):
        toy_runner(tmp_path, [{**HOOK, 'val': 'bf16'}])


@pytest.mark.parametrize(
    ('val', 'dtype', 'name'),
    [('fp32', torch.float32, 'fp32'), ('amp', torch.bfloat16, 'bf16')],
)
def test_validation_and_test_run_in_the_precision_chosen(tmp_path, val, dtype, name):
    runner = toy_runner(
        tmp_path, [{**HOOK, 'val': val}], **for_validation(), **for_testing()
    )
    runner.train()
    runner.test()
    assert runner.model.dtypes['loss'] == [torch.bfloat16] * 4
    assert runner.model.dtypes['predict'] == [dtype] * 8
    assert amp_hook(runner).summary()['precision/val'] == name


def test_a_loop_in_fp16_contradicts_full_precision(tmp_path):
    settings = {**for_validation(), 'val_cfg': {'fp16': True}}
    runner = toy_runner(tmp_path, [HOOK], **settings)
    with pytest.raises(ValueError, match='val_cfg.fp16 is True.*set val="amp"'):
        runner.train()


def test_several_optimizers_are_all_converted(tmp_path):
    runner = toy_runner(tmp_path, [HOOK])
    model = runner.model
    parts = {'backbone': model.backbone, 'head': model.head}
    runner.optim_wrapper = OptimWrapperDict(
        **{
            name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.1))
            for name, part in parts.items()
        }
    )
    wrappers = dict(runner.optim_wrapper.items())
    amp_hook(runner).before_run(runner)
    assert list(wrappers) == ['backbone', 'head']
    for name, wrapper in wrappers.items():
        assert type(wrapper) is AmpOptimWrapper
        assert runner.optim_wrapper[name] is wrapper


def test_a_wrapper_that_is_mixed_precision_already_is_left_alone(tmp_path):
    wrapper_cfg = {
        'type': 'hpml_mm.AmpOptimWrapper',
        'dtype': 'bfloat16',
        'optimizer': {'type': 'SGD', 'lr': 0.1},
    }
    runner = toy_runner(
        tmp_path, [{**HOOK, 'dtype': 'auto'}], optim_wrapper=wrapper_cfg
    )
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'AmpHook leaves optim_wrapper as configured: AmpOptimWrapper' in log


def test_mmengines_own_wrapper_is_left_alone(tmp_path):
    runner = toy_runner(tmp_path, [HOOK])
    wrapper = MMEngineAmpOptimWrapper.__new__(MMEngineAmpOptimWrapper)  # needs a GPU
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=0.1)
    OptimWrapper.__init__(wrapper, optimizer)
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=8.0)
    wrapper.cast_dtype = torch.float16
    runner.optim_wrapper = wrapper
    hook = amp_hook(runner)
    hook.before_run(runner)
    assert type(runner.optim_wrapper) is MMEngineAmpOptimWrapper
    assert hook.summary() == {
        'precision': None,  # nothing has run
        'precision/val': None,
        'amp/scale': 8.0,
        'amp/skipped_steps': None,
    }


class RandomPictures(Dataset):
    metainfo = {'classes': ('a', 'b')}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        sample = DataSample().set_gt_label(index % 2)
        return {
            'inputs': torch.randn(3, 64, 64, generator=generator),
            'data_samples': sample,
        }


@pytest.mark.parametrize(
    'backbone', [{'type': 'EfficientNet', 'arch': 'b0'}, {'type': 'MobileNetV2'}]
)
def test_stock_classifiers_take_a_step(tmp_path, backbone):
    runner = toy_runner(
        tmp_path,
        [HOOK],
        default_scope='mmpretrain',
        model={
            'type': 'ImageClassifier',
            'backbone': backbone,
            'neck': {'type': 'GlobalAveragePooling'},
            'head': {'type': 'LinearClsHead', 'num_classes': 2, 'in_channels': 1280},
        },
        train_dataloader={
            **loader(),
            'dataset': RandomPictures(),
            'collate_fn': {'type': 'pseudo_collate'},
        },
    )
    model, dtypes = runner.model, set()
    model.backbone.register_forward_hook(
        lambda module, args, output: dtypes.add(output[-1].dtype)
    )
    before = model.head.fc.weight.detach().clone()
    runner.train()
    assert dtypes == {torch.bfloat16}
    assert not torch.equal(model.head.fc.weight, before)
    for name, param in model.named_parameters():
        assert param.dtype == torch.float32
        assert torch.isfinite(param).all(), name


class ScaledAmpHook(AmpHook):
    """Scales the loss on a CPU as the real hook does in fp16 on a GPU."""

    def before_run(self, runner):
        super().before_run(runner)
        runner.optim_wrapper.loss_scaler = CountingGradScaler('cpu', init_scale=1024.0)
        self._scaled = self._wrappers


def test_skipped_steps_and_scale_are_logged_and_restored(tmp_path):
    def runner_with(epochs, **settings):
        return toy_runner(
            tmp_path,
            [ScaledAmpHook(interval=2)],
            default_hooks={
                'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
                'logger': {'type': 'LoggerHook', 'interval': 2},
            },
            train_cfg={'by_epoch': True, 'max_epochs': epochs},
            **settings,
        )

    broken = loader()
    broken['dataset'].images[:8] = float('inf')  # the first two batches
    runner = runner_with(1, train_dataloader=broken)
    runner.train()
    assert amp_hook(runner).summary()['amp/skipped_steps'] == 2
    assert amp_hook(runner).summary()['amp/scale'] == 256.0
    board = EventAccumulator(runner.work_dir).Reload()
    scales = [(e.step, e.value) for e in board.Scalars('train/amp/scale')]
    skipped = [(e.step, e.value) for e in board.Scalars('train/amp/skipped_steps')]
    assert scales == [(2, 256.0), (4, 256.0)]
    assert skipped == [(2, 2.0), (4, 2.0)]

    resumed = runner_with(2, resume=True)
    resumed.train()
    assert resumed.iter == 8
    assert amp_hook(resumed).summary()['amp/scale'] == 256.0


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
