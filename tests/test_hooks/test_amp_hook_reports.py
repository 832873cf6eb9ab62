# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AmpHook reports the precision that ran, whatever was asked for."""

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from toy_runs import ToyNet, toy_runner

from hpml_mm.engine.hooks import AmpHook

HOOK = {'type': 'hpml_mm.AmpHook'}


def amp_hook(runner) -> AmpHook:
    return next(hook for hook in runner.hooks if isinstance(hook, AmpHook))


class OwnStep(ToyNet):
    """Has a training step of its own, which forgets the context."""

    def train_step(self, data, optim_wrapper):
        losses = self(**self.data_preprocessor(data, True), mode='loss')
        optim_wrapper.update_params(losses['loss'])
        return losses


@pytest.mark.parametrize(('epochs', 'steps'), [(1, 4), (3, 10)])
def test_a_step_that_never_enters_the_context_is_no_mixed_precision(
    tmp_path, epochs, steps
):
    runner = toy_runner(
        tmp_path,
        [HOOK],
        model=OwnStep(),
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
    )
    runner.train()
    summary = amp_hook(runner).summary()
    assert (summary['precision'], summary['amp/contexts']) == ('fp32', 0)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert log.count('AmpHook: OwnStep.train_step has not entered') == 1
    assert f'optim_wrapper.optim_context in {steps} steps' in log
    assert 'layers ran in fp32' in log
    # Nothing that watches is left behind.
    assert not any(module._forward_hooks for module in runner.model.modules())
    assert not {'optim_context', 'train_step'} & {
        *vars(runner.optim_wrapper),
        *vars(runner.model),
    }


class InFullPrecision(ToyNet):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        with torch.autocast('cpu', enabled=False):
            return super().forward(inputs, data_samples, mode)


class HeadInFullPrecision(ToyNet):
    """Does its convolution (4,608 MACs an image) in bf16, its head (24) in fp32."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.backbone(inputs)
        with torch.autocast('cpu', enabled=False):
            logits = self.head(features.float())
        return {'loss': nn.functional.cross_entropy(logits, data_samples)}


@pytest.mark.parametrize(
    ('model', 'precision'), [(InFullPrecision, 'fp32'), (HeadInFullPrecision, 'bf16')]
)
def test_regions_without_autocast_count_as_they_ran(tmp_path, model, precision):
    runner = toy_runner(tmp_path, [HOOK], model=model())
    runner.train()
    summary = amp_hook(runner).summary()
    assert (summary['precision'], summary['amp/contexts']) == (precision, 4)
    assert 'has not entered' not in next(tmp_path.glob('*/*.log')).read_text()


def test_of_a_compiled_model_the_wrapper_speaks(tmp_path):
    model = ToyNet()
    model.backbone.compile(backend='eager')
    runner = toy_runner(tmp_path, [HOOK], model=model)
    runner.train()
    assert amp_hook(runner).summary()['precision'] == 'bf16'
    own = OwnStep()
    own.backbone.compile(backend='eager')
    runner = toy_runner(tmp_path / 'own', [HOOK], model=own)
    runner.train()
    assert amp_hook(runner).summary()['precision'] is None


class TwoParts(ToyNet):
    """Trains its backbone in every step, its head in the third only, or never."""

    def __init__(self, head_at):
        super().__init__()
        self.head_at = head_at
        self.steps = 0

    def train_step(self, data, optim_wrapper):
        self.steps += 1
        data = self.data_preprocessor(data, True)
        names = ['backbone'] + ['head'] * (self.steps == self.head_at)
        for name in names:
            with optim_wrapper[name].optim_context(self):
                loss = self(**data, mode='loss')['loss']
            optim_wrapper[name].update_params(loss)
        return {'loss': loss.detach()}


@pytest.mark.parametrize(('head_at', 'warnings'), [(3, 0), (None, 1)])
def test_contexts_of_several_optimizers_are_told_apart(tmp_path, head_at, warnings):
    model = TwoParts(head_at)
    wrappers = {
        name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.1))
        for name, part in (('backbone', model.backbone), ('head', model.head))
    }
    runner = toy_runner(
        tmp_path, [HOOK], model=model, optim_wrapper=OptimWrapperDict(**wrappers)
    )
    runner.train()
    summary = amp_hook(runner).summary()
    assert summary['precision'] == 'bf16'
    assert summary['amp/backbone.contexts'] == 4
    assert summary['amp/head.contexts'] == (head_at == 3)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert log.count('has not entered optim_wrapper.head.optim_context') == warnings
    assert 'has not entered optim_wrapper.backbone' not in log
