# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn import functional as F

from hpml_mm.models import ConvClsHead, MiniXception
from hpml_mm.models.mini_xception import every_second
from hpml_mm.registry import MODELS


def count(module):
    return sum(p.numel() for p in module.parameters())


def classifier():
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(
        {
            'type': 'mmpretrain.ImageClassifier',
            'backbone': {'type': 'hpml_mm.MiniXception'},
            'head': {'type': 'hpml_mm.ConvClsHead'},
            'data_preprocessor': {'mean': [129.3], 'std': [65.0]},
        }
    )


def test_parameters_of_each_part():
    backbone, head = MiniXception(), ConvClsHead()
    assert count(backbone.stem) == 680
    assert [count(block) for block in backbone.blocks] == [824, 2672, 9440, 35264]
    assert count(head) == 8071
    assert count(classifier()) == 56951


def test_a_face_of_44_pixels_becomes_a_map_of_3():
    (feature,) = MiniXception()(torch.zeros(2, 1, 44, 44))
    assert feature.shape == (2, 128, 3, 3)
    assert ConvClsHead()((feature,)).shape == (2, 7)


def test_block_is_the_written_out_formula_without_a_relu_after_the_sum():
    torch.manual_seed(0)
    block = MiniXception().blocks[0].eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(2, 8, 9, 9)
    sep1, bn1, _, sep2, bn2, _ = block.residual

    def separable(layer, x):
        x = F.conv2d(x, layer.depthwise.weight, padding=1, groups=x.size(1))
        return F.conv2d(x, layer.pointwise.weight)

    def norm(layer, x):
        # Fresh statistics: mean 0 and variance 1.
        x = x / (1 + 1e-3) ** 0.5
        return x * layer.weight[:, None, None] + layer.bias[:, None, None]

    main = norm(bn2, separable(sep2, norm(bn1, separable(sep1, x)).relu()))
    main = F.max_pool2d(main, 3, stride=2, padding=1)
    conv, bn = block.shortcut
    expected = norm(bn, F.conv2d(x, conv.weight, stride=2)) + main

    torch.testing.assert_close(block(x), expected)
    assert (expected < 0).any()


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_a_gradient_is_laid_out_as_its_map(layout):
    x = torch.randn(2, 8, 9, 7).to(memory_format=layout).requires_grad_()
    every_second(x).square().sum().backward()
    expected = torch.zeros_like(x)
    expected[..., ::2, ::2] = 2 * x.detach()[..., ::2, ::2]
    assert torch.equal(x.grad, expected)
    assert torch.equal(every_second(x), x[..., ::2, ::2])
    (gradient,) = torch.autograd.grad(every_second(x).sum(), x)
    assert gradient.is_contiguous(memory_format=layout)


def test_head_averages_the_map_of_each_class():
    head = ConvClsHead(in_channels=1, num_classes=2, kernel_size=1)
    with torch.no_grad():
        head.conv.weight.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1, 1))
        head.conv.bias.copy_(torch.tensor([0.5, 0.0]))
    feature = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert head((feature,)).tolist() == [[6.5, -3.0]]


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_batch_norm_has_the_value_that_keras_meant():
    assert len(norms(MiniXception())) == 14
    assert {(m.momentum, m.eps) for m in norms(MiniXception())} == {(0.01, 1e-3)}
    assert {m.momentum for m in norms(MiniXception(bn_momentum=0.99))} == {0.99}


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='bn_momentum must be above 0 .* got 0'):
        MiniXception(bn_momentum=0)
    with pytest.raises(ValueError, match='kernel_size must be odd, got 2'):
        ConvClsHead(kernel_size=2)


def test_one_step_lowers_the_loss_and_predictions_are_labelled():
    model = classifier()
    images = torch.randint(0, 256, (8, 1, 44, 44), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(i % 7) for i in range(8)]
    data = model.data_preprocessor({'inputs': images, 'data_samples': samples}, True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(5):
        loss = model(**data, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]

    model.eval()
    predictions = model(**data, mode='predict')
    logits = model(data['inputs'])
    for prediction, row in zip(predictions, logits, strict=True):
        assert prediction.pred_label.item() == row.argmax().item()
        assert prediction.pred_score.shape == (7,)


def test_forward_can_be_exported_and_traced():
    model = classifier().eval()
    x = torch.randn(2, 1, 44, 44)
    expected = model(x)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), expected)
    for part in (model.backbone, model.head):
        torch.fx.symbolic_trace(part)
    # MMEngine's complexity tool counts it.
    info = get_model_complexity_info(model, (1, 44, 44), show_table=False)
    assert info['params'] == 56951
    # Two stem convolutions alone: 42 * 42 * 8 * 9 + 40 * 40 * 8 * 8 * 9.
    assert info['flops'] > 127008 + 921600
