# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings of two iterations that are allowed, but unusual, each by its name."""

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from torch.optim import LBFGS, SGD, Optimizer
from torch.utils.data import DataLoader, IterableDataset
from toy_runs import BATCH, ToyImages, ToyNet, for_validation, toy_runner


class Gan(ToyNet):
    """Backbone and head make a generator, to which a discriminator answers."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Linear(3, 1)

    def train_step(self, data, optim_wrapper):
        generator, critic = optim_wrapper['generator'], optim_wrapper['critic']
        with generator.optim_context(self):
            made = self(data['inputs'])
            loss = self.critic(torch.stack(made)).float().square().mean()
        generator.update_params(loss)
        # Gradients of the critic that the generator's loss has left.
        if generator.should_update():
            critic.zero_grad()
        with critic.optim_context(self):
            made = torch.stack(self(data['inputs'])).detach()
            critic_loss = (self.critic(made).float() - 1).square().mean()
        critic.update_params(critic_loss)
        return {'loss': loss.detach(), 'critic_loss': critic_loss.detach()}


def two_optimizers(accumulate=(1, 1)):
    torch.manual_seed(0)
    model = Gan()
    made = [p for name, p in model.named_parameters() if 'critic' not in name]
    wrappers = {
        'generator': OptimWrapper(SGD(made, 0.1, momentum=0.9), accumulate[0]),
        'critic': OptimWrapper(SGD(model.critic.parameters(), 0.1), accumulate[1]),
    }
    return {'model': model, 'optim_wrapper': OptimWrapperDict(**wrappers)}


class WithoutParameters(ToyNet):
    """Counts, and learns nothing."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.ReLU(), nn.Sequential(nn.Flatten())

    def train_step(self, data, optim_wrapper):
        return {'loss': torch.stack(self(data['inputs'])).mean()}


class Frozen(ToyNet):
    """Has parameters, of which none is trained."""

    def train_step(self, data, optim_wrapper):
        return self(**data, mode='loss')


class Endless(ToyImages, IterableDataset):
    """Images in a stream, whose length its class declares and cannot tell."""

    def __len__(self):
        raise NotImplementedError

    def __iter__(self):
        while True:
            for index in range(2 * BATCH):
                yield self[index]


class Sparse(ToyNet):
    """Looks its images' brightness up in a table."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential()
        self.head = nn.EmbeddingBag(2, 3, sparse=True)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return super().forward((inputs.flatten(1) > 0).long(), data_samples, mode)


class ByClosure(ToyNet):
    """Gives its optimizer a closure, as LBFGS needs it."""

    def train_step(self, data, optim_wrapper):
        def closure():
            optim_wrapper.zero_grad()
            with optim_wrapper.optim_context(self):
                loss = self(**data, mode='loss')['loss']
            optim_wrapper.backward(loss)
            return loss

        optim_wrapper.step(closure=closure)
        return {'loss': closure().detach()}


class OwnOptimizer(Optimizer):
    """Follows the sign of the gradient, one tensor after another."""

    def __init__(self, params):
        super().__init__(params, {'lr': 0.01})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter -= group['lr'] * parameter.grad.sign()


class TwoTypes(ToyNet):
    """Computes its last layer in double precision."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 3).double()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        with torch.autocast('cpu', enabled=False):
            logits = self.last(self.head(self.backbone(inputs)).double())
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(logits, data_samples)}
        return list(logits)


def _trained(model, optimizer=SGD, **arguments):
    wrapper = OptimWrapper(optimizer(model.parameters(), **arguments))
    return {'model': model, 'optim_wrapper': wrapper}


def _endless():
    return {
        'train_dataloader': DataLoader(Endless(), batch_size=BATCH),
        'train_cfg': {'by_epoch': False, 'max_iters': 2, 'val_interval': 2},
        'log_processor': {'by_epoch': False},
        # With more, MMEngine's logger asks the loader for its length.
        'default_hooks': {
            'checkpoint': None,
            'logger': {'type': 'LoggerHook', 'interval': 1, 'interval_exp_name': 1},
        },
    }


def _empty_group():
    model = ToyNet()
    groups = [{'params': []}, {'params': list(model.parameters())}]
    return {'model': model, 'optim_wrapper': OptimWrapper(SGD(groups, 0.1))}


UNUSUAL = {
    'two optimizers': two_optimizers,
    'no parameters': lambda: {
        'model': WithoutParameters(),
        'optim_wrapper': OptimWrapperDict(),
    },
    'frozen': lambda: _trained(Frozen().requires_grad_(False), lr=0.1),
    'no length': _endless,
    'sparse gradients': lambda: _trained(Sparse(), lr=0.1),
    'closure': lambda: _trained(ByClosure(), LBFGS, max_iter=1),
    'own optimizer': lambda: _trained(ToyNet(), OwnOptimizer),
    # A large eps: a gradient of next to nothing must not decide by its sign.
    'two types': lambda: _trained(TwoTypes(), torch.optim.Adam, lr=0.1, eps=1e-2),
    'empty group': _empty_group,
}


def unusual_runner(name, work_dir, hooks=()):
    """A runner of one of ``UNUSUAL``, with a validation at its end."""
    torch.manual_seed(0)
    two = DataLoader(torch.utils.data.Subset(ToyImages(), range(2 * BATCH)), BATCH)
    parts = {'train_dataloader': two, **for_validation(), **UNUSUAL[name]()}
    parts['visualizer'] = {'type': 'Visualizer'}
    return toy_runner(work_dir, hooks, **parts)
