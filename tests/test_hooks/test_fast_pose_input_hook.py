# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import uuid
from copy import deepcopy

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from pose_spots import spot_loader, spot_model, write_spots

from hpml_mm.engine.hooks import FastPoseInputHook
from hpml_mm.utils.model import bare_model

FAST = {'type': 'hpml_mm.FastPoseInputHook', 'cache_gib': 0.01}
AUGMENT = [
    {'type': 'RandomFlip'},
    {'type': 'RandomBBoxTransform', 'rotate_factor': 30},
]


class Watch(Hook):
    """What the preprocessor hands to the model, and the losses."""

    def __init__(self):
        self.inputs, self.targets, self.losses = [], [], []

    def before_train(self, runner):
        preprocessor = bare_model(runner.model).data_preprocessor
        preprocessor.register_forward_hook(self._see)

    def _see(self, module, arguments, batch):
        self.inputs.append(batch['inputs'])
        samples = batch['data_samples']
        if 'gt_fields' in samples[0]:
            self.targets += [s.gt_fields.heatmaps for s in samples]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())


def run(work, root, hooks, *, spoil=None, repeat=False, resnet=False, epochs=1):
    """Epochs on made pictures; what was seen, and the runner."""
    loader = spot_loader(root)
    evaluation = deepcopy(loader)
    pipeline = loader['dataset']['pipeline']
    loader['dataset']['test_mode'] = False
    pipeline[2:2] = deepcopy(AUGMENT)
    if spoil:
        pipeline.insert(2, spoil)
    if repeat:
        loader['dataset'] = {
            'type': 'RepeatDataset',
            'times': 2,
            'dataset': loader['dataset'],
        }
    del evaluation['dataset']['pipeline'][3]  # the targets
    model = spot_model()
    if resnet:
        model['backbone'] = {'type': 'ResNet', 'depth': 18}
        model['head'] |= {'in_channels': 512, 'init_cfg': None}
        model['head']['deconv_out_channels'] = (8, 8, 8)
        model['head']['deconv_kernel_sizes'] = (4, 4, 4)
    watch = Watch()
    cfg = Config(
        {
            'model': model,
            'work_dir': str(work),
            'train_dataloader': loader,
            'val_dataloader': evaluation,
            'train_cfg': {'by_epoch': True, 'max_epochs': epochs},
            'val_cfg': {},
            'val_evaluator': {'type': 'hpml_mm.KeypointPCK'},
            'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.0}},
            'default_hooks': {'checkpoint': None},
            'custom_hooks': [{'type': 'hpml_mm.SampleSeedHook'}, *hooks],
            'randomness': {'seed': 3},
            'experiment_name': uuid.uuid4().hex,
            'default_scope': 'mmpose',
        }
    )
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    return watch, runner


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_spots(tmp_path_factory.mktemp('spots'), [0, 2, 1, 9, 0, 3, 6, 1])


@pytest.mark.slow
@pytest.mark.parametrize('repeat', [False, True])
def test_the_model_sees_what_the_stock_input_would_show(tmp_path, root, repeat):
    epochs = 1 if repeat else 2
    stock, _ = run(tmp_path / 'stock', root, [], repeat=repeat, epochs=epochs)
    hook = FAST | {'cache_dir': str(tmp_path) if repeat else None}
    fast, runner = run(tmp_path / 'fast', root, [hook], repeat=repeat, epochs=epochs)
    assert len(fast.inputs) == len(stock.inputs) > 6
    for mine, theirs in zip(fast.inputs, stock.inputs, strict=True):
        assert (mine - theirs).abs().max() <= 1.01 / 255
    assert len(fast.targets) == len(stock.targets) > 0
    torch.testing.assert_close(torch.stack(fast.targets), torch.stack(stock.targets))
    assert fast.losses == pytest.approx(stock.losses, rel=1e-4)
    dataset = runner.train_dataloader.dataset
    loaded = (dataset.dataset if repeat else dataset).pipeline.transforms[0]
    assert len(loaded.cache) == 8
    assert loaded.cache.folder == hook['cache_dir']
    (images,) = (batch['inputs'] for batch in list(runner.val_dataloader)[:1])
    assert images.shape == (3, 64, 64, 3)
    # Augmentation was on.
    first, second = fast.inputs[0], fast.inputs[len(fast.inputs) // 2]
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_one_step_in_the_way_leaves_all_as_it_was(tmp_path, root):
    _, runner = run(tmp_path, root, [FAST], spoil={'type': 'YOLOXHSVRandomAug'})
    steps = runner.train_dataloader.dataset.pipeline.transforms
    assert type(steps[0]).__name__ == 'LoadImage'
    assert type(bare_model(runner.model).data_preprocessor).__name__ == (
        'PoseDataPreprocessor'
    )
    log = next(tmp_path.rglob('*.log')).read_text()
    assert (
        'FastPoseInputHook leaves the input as it is: train_dataloader.dataset.'
        'pipeline: YOLOXHSVRandomAug is none of the steps that can be one warp'
    ) in log


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'cache_gib': 2.0**40}, 'take a smaller cache_gib'),
        ({'cache_dir': 'gone'}, "no folder cache_dir='gone'"),
    ],
)
def test_a_cache_that_cannot_be_made_ends_the_run(tmp_path, root, wrong, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(tmp_path, root, [FAST | wrong])


@pytest.mark.slow
def test_images_take_the_memory_format_of_the_weights(tmp_path, root):
    speed = {'type': 'hpml_mm.SpeedHook', 'channels_last': True}
    watch, _ = run(tmp_path, root, [FAST, speed], resnet=True)
    for inputs in watch.inputs:
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert not inputs.is_contiguous()


def test_a_test_alone_is_fast_too(tmp_path, root):
    loader = spot_loader(root)
    del loader['dataset']['pipeline'][3]
    cfg = Config(
        {
            'model': spot_model(),
            'work_dir': str(tmp_path / 'work'),
            'test_dataloader': loader,
            'test_cfg': {},
            'test_evaluator': {'type': 'hpml_mm.KeypointPCK'},
            'custom_hooks': [FAST],
            'experiment_name': uuid.uuid4().hex,
            'default_scope': 'mmpose',
        }
    )
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    assert metrics
    assert any(isinstance(hook, FastPoseInputHook) for hook in runner.hooks)
    transforms = runner.test_dataloader.dataset.pipeline.transforms
    assert [type(step).__name__ for step in transforms] == [
        'LoadCachedImage',
        'FusedTopdownWarp',
        'PackKeypoints',
    ]
