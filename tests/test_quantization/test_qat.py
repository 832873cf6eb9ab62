# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rounding in training, on numbers that can be followed by hand, and its config."""

import copy

import pytest
import torch
from mmengine.config import Config, ConfigDict
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hpml_mm.quantization.qat import (
    AVERAGING,
    InputFakeQuant,
    fake_quant_layers,
    fine_tune_,
    freeze_batch_norm_,
    freeze_observers_,
    insert_fake_quant_,
    remove_fake_quant_,
    share_fake_quant_,
)
from hpml_mm.quantization.rounding import round_weight, weight_scales


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


def images(seed=0) -> torch.Tensor:
    return torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_a_tensor_is_rounded_to_256_levels_of_its_range():
    quantizer = InputFakeQuant().train()
    # Range -1 .. 254 / 100 in steps of .01 exactly: -1 is level 0, and 0 level 100.
    x = torch.tensor([-1.0, 0.0, 0.004, 0.006, 1.549, 1.55], requires_grad=True)
    rounded = quantizer(x)
    torch.testing.assert_close(
        rounded, torch.tensor([-1.0, 0.0, 0.0, 0.01, 1.55, 1.55])
    )
    rounded.sum().backward()
    assert x.grad.tolist() == [1] * 6  # as if it had not been rounded


def test_the_range_is_a_moving_average_that_holds_zero():
    quantizer = InputFakeQuant()
    x = torch.tensor([0.123456])
    assert quantizer.eval()(x) is x  # there is no range yet
    quantizer.train()(torch.tensor([2.0, 10.0]))
    assert (quantizer.low.item(), quantizer.high.item()) == (0, 10)
    quantizer(torch.tensor([-5.0, 20.0]))
    assert quantizer.low.item() == pytest.approx(-5 * AVERAGING)
    assert quantizer.high.item() == pytest.approx(10 + 10 * AVERAGING)
    quantizer.observing = False
    quantizer(torch.tensor([99.0]))
    quantizer.eval()(torch.tensor([99.0]))
    assert quantizer.high.item() == pytest.approx(10.1)


def test_what_lies_beyond_the_range_is_cut_and_learns_nothing():
    quantizer = InputFakeQuant().train()
    quantizer(torch.tensor([0.0, 2.55]))
    x = torch.tensor([1.0, 9.0, -3.0], requires_grad=True)
    rounded = quantizer.eval()(x)
    torch.testing.assert_close(rounded, torch.tensor([1.0, 2.55, 0.0]))
    rounded.sum().backward()
    assert x.grad.tolist() == [1, 0, 0]
    # A percentile leaves outliers out.
    quantizer = InputFakeQuant(percentile=99).train()
    quantizer(torch.cat([torch.linspace(0, 1, 999), torch.tensor([1000.0])]))
    assert quantizer.high.item() == pytest.approx(0.99, abs=0.01)
    with pytest.raises(ValueError, match='percentile is 50'):
        InputFakeQuant(percentile=50)


def test_layers_round_their_weight_and_keep_name_and_object_of_the_parameter():
    net = network()
    names, weight = list(net.state_dict()), net[3].weight
    assert insert_fake_quant_(net) == ['0', '3', '5']
    assert insert_fake_quant_(net) == []
    assert dict(net.named_parameters())['3.weight'] is weight
    added = set(net.state_dict()) - set(names)
    assert added == {
        f'{layer}.input_fake_quant.{end}' for layer in '035' for end in ('low', 'high')
    }
    # Output channels of a transposed convolution lie along its second axis.
    torch.testing.assert_close(net[3].weight, round_weight(weight, 1))
    assert not torch.equal(net[3].weight, weight)
    assert isinstance(net[3], nn.ConvTranspose2d)


def test_the_forward_rounds_and_an_optimizer_made_before_trains_the_weight_itself():
    net = nn.Sequential(nn.Linear(3, 2))
    x = torch.tensor([[0.3, -0.7, 1.0]])
    expected = nn.functional.linear(
        InputFakeQuant().train()(x), round_weight(net[0].weight, 0), net[0].bias
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    insert_fake_quant_(net)
    before = [p.clone() for p in net.parameters()]
    output = net.train()(x)
    torch.testing.assert_close(output, expected)
    output.square().sum().backward()
    optimizer.step()
    for parameter, old in zip(net.parameters(), before, strict=True):
        assert not torch.equal(parameter, old)


def test_removal_leaves_plain_layers_on_their_grid():
    net = network()
    insert_fake_quant_(net)
    net.train()(images())
    net.eval()
    rounded = net[0].weight.clone()
    remove_fake_quant_(net)
    assert [type(m) for m in net] == [type(m) for m in network()]
    assert list(net.state_dict()) == list(network().state_dict())
    torch.testing.assert_close(net[0].weight.data, rounded)
    fresh, weight = network(), network()[0].weight
    insert_fake_quant_(fresh)
    remove_fake_quant_(fresh, on_grid=False)
    assert torch.equal(fresh[0].weight, weight)
    # Rounded once more it stays what it is.
    torch.testing.assert_close(round_weight(net[0].weight, 0).data, rounded)


def test_rounding_and_folding_batch_norm_change_places():
    torch.manual_seed(1)
    conv, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    norm.weight.data = torch.tensor([1.5, -0.2, 3.0, 0.01])  # one is negative
    norm.running_var.fill_(0.3)
    folded_then_rounded = round_weight(
        fuse_conv_bn_eval(conv.eval(), norm.eval()).weight, 0
    )
    insert_fake_quant_(nn.Sequential(conv))
    rounded = copy.deepcopy(conv)
    remove_fake_quant_(nn.Sequential(rounded))
    rounded_then_folded = fuse_conv_bn_eval(rounded, norm).weight
    torch.testing.assert_close(rounded_then_folded, folded_then_rounded)
    # The integers are the same, up to the sign that BatchNorm gives them.
    signs = norm.weight.sign().reshape(-1, 1, 1, 1)
    integers = [
        w / weight_scales(w, 0).reshape(-1, 1, 1, 1)
        for w in (rounded.weight, rounded_then_folded)
    ]
    torch.testing.assert_close(integers[0] * signs, integers[1], atol=1e-3, rtol=0)


def test_a_copy_and_a_state_go_on_alike_and_an_average_shares_the_ranges():
    net = network()
    average = copy.deepcopy(net)
    insert_fake_quant_(net)
    share_fake_quant_(average, net)
    net.train()(images(1))
    assert average[5].input_fake_quant.high is net[5].input_fake_quant.high
    assert average[5]._parameters['weight'] is not net[5]._parameters['weight']
    torch.testing.assert_close(average[5].weight, round_weight(net[5].weight, 0))
    copied, fresh = copy.deepcopy(net), network()
    insert_fake_quant_(fresh)
    fresh.load_state_dict(net.state_dict())
    expected = net.eval()(images(2))
    torch.testing.assert_close(copied.eval()(images(2)), expected)
    torch.testing.assert_close(fresh.eval()(images(2)), expected)
    copied.train()(images(3) * 100)
    assert copied[0].input_fake_quant.high > net[0].input_fake_quant.high


def test_freezing_stops_ranges_and_statistics_until_the_next_train():
    net = network()
    insert_fake_quant_(net)
    net.train()(images(0))
    freeze_observers_(net)
    freeze_batch_norm_(net)
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(50 * images(1))
    changed = [n for n, b in net.named_buffers() if not torch.equal(b, before[n])]
    assert changed == []
    net.train()(50 * images(1))
    changed = [n for n, b in net.named_buffers() if not torch.equal(b, before[n])]
    assert changed == ['1.running_mean', '1.running_var', '1.num_batches_tracked']


def test_layers_to_keep_must_exist_and_stay_as_they_are():
    net = network()
    assert insert_fake_quant_(net, keep=['0']) == ['3', '5']
    assert [name for name, _ in fake_quant_layers(net)] == ['3', '5']
    with pytest.raises(ValueError, match=r"no layer is called '7'; there are 0, 3, 5"):
        insert_fake_quant_(network(), keep=['7'])
    with pytest.raises(ValueError, match='ReLU has no convolution'):
        insert_fake_quant_(nn.ReLU())


HOOKS = [
    dict(type='hpml_mm.SpeedHook', compile=True),
    dict(type='EMAHook', momentum=0.001),
]


def tuned(changes=None, **arguments) -> Config:
    content = dict(
        train_cfg=dict(by_epoch=True, max_epochs=60, val_begin=50),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)),
        param_scheduler=[dict(type='OneCycleLR')],
        custom_hooks=HOOKS,
        resume=True,
    )
    cfg = Config({**content, **(changes or {})})
    fine_tune_(cfg, 'a.pth', {'backend': 'openvino'}, 'out', **arguments)
    return cfg


def test_a_fine_tuning_starts_from_the_checkpoint_with_a_small_rate_that_falls():
    cfg = tuned(epochs=4)
    assert (cfg.load_from, cfg.resume) == ('a.pth', False)
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=4, val_interval=1)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.005)
    assert cfg.optim_wrapper.optimizer.momentum == 0.9
    (schedule,) = cfg.param_scheduler
    assert (schedule.type, schedule.T_max) == ('CosineAnnealingLR', 4)
    assert tuned(lr=0.2).optim_wrapper.optimizer.lr == 0.2
    # The recipe keeps its hooks, but is not compiled.
    speed, average, hook = cfg.custom_hooks
    assert (speed.compile, HOOKS[0]['compile']) == (False, True)
    assert average == HOOKS[1]
    assert hook == dict(
        type='hpml_mm.QATHook',
        freeze=3,
        reference='a.pth',
        settings={'backend': 'openvino'},
        out='out',
    )
    # The second half is frozen.
    for epochs, freeze in ((3, 2), (2, 2), (1, None)):
        assert tuned(epochs=epochs).custom_hooks[-1]['freeze'] == freeze
    assert tuned(epochs=4, freeze=4).custom_hooks[-1]['freeze'] == 4


@pytest.mark.parametrize(
    ('changes', 'epochs', 'message'),
    [
        ({'train_cfg': dict(by_epoch=False, max_iters=9)}, None, 'counts epochs'),
        ({}, 0, 'epochs is 0'),
        ({'optim_wrapper': dict(optimizer=ConfigDict(type='Rprop'))}, None, '--lr'),
    ],
)
def test_a_config_that_cannot_be_fine_tuned_is_refused(changes, epochs, message):
    with pytest.raises(ValueError, match=message):
        tuned(changes, epochs=epochs)
