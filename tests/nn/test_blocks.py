"""Blocks against the same sums written out with torch's functional layers."""
import pytest
import torch
from torch.nn import functional as F

from sslspk.nn import blocks


def norm(layer, x):
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)


def conv_relu_norm(layer, x):
    conv = layer.conv
    return norm(layer.norm, F.relu(F.conv1d(x, conv.weight, conv.bias, padding=conv.padding, dilation=conv.dilation)))


def gate(layer, x):
    mean = x.flatten(2).mean(-1)
    hidden = F.relu(F.linear(mean, layer.squeeze.weight, layer.squeeze.bias))
    return torch.sigmoid(F.linear(hidden, layer.excite.weight, layer.excite.bias))


def randomised(module, seed=0):
    """Eval mode with BatchNorm statistics and gains that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            if layer.affine:
                torch.nn.init.normal_(layer.weight, generator=generator)
                torch.nn.init.normal_(layer.bias, generator=generator)
    return module.eval()


def test_squeeze_excite_in_one_and_two_dimensions():
    layer = blocks.SqueezeExcite(6, 3)
    for x in (torch.randn(2, 6, 9), torch.randn(2, 6, 4, 5)):
        g = gate(layer, x)
        for b in range(2):
            for c in range(6):
                assert torch.allclose(layer(x)[b, c], x[b, c] * g[b, c], atol=1e-6)


def test_res2_groups_see_the_group_before():
    layer, x = randomised(blocks.Res2Conv(12, 3, dilation=2, scale=4)), torch.randn(2, 12, 20)
    y = [x[:, :3]]
    y.append(conv_relu_norm(layer.layers[0], x[:, 3:6]))
    y.append(conv_relu_norm(layer.layers[1], x[:, 6:9] + y[-1]))
    y.append(conv_relu_norm(layer.layers[2], x[:, 9:] + y[-1]))
    assert torch.allclose(layer(x), torch.cat(y, dim=1), atol=1e-6)


def test_se_res2_block():
    block, x = randomised(blocks.SERes2Block(16, 3, dilation=3, scale=4, bottleneck=5)), torch.randn(2, 16, 20)
    first, res2, last, se = block.layers
    y = conv_relu_norm(last, res2(conv_relu_norm(first, x)))
    assert torch.allclose(block(x), x + y * gate(se, y).unsqueeze(-1), atol=1e-5)


@pytest.mark.parametrize("relu_first", [False, True])
@pytest.mark.parametrize("out, stride, reduction", [(8, 1, 0), (8, 1, 4), (12, 2, 4), (12, 1, 0)])
def test_basic_block(relu_first, out, stride, reduction):
    block = randomised(blocks.BasicBlock(8, out, stride, reduction, relu_first))
    x = torch.randn(2, 8, 10, 13)
    y = F.conv2d(x, block.conv1.weight, stride=stride, padding=1)
    y = norm(block.norm1, F.relu(y)) if relu_first else F.relu(norm(block.norm1, y))
    y = norm(block.norm2, F.conv2d(y, block.conv2.weight, padding=1))
    if reduction:
        y = y * gate(block.se, y)[:, :, None, None]
    shortcut = x
    if (out, stride) != (8, 1):
        shortcut = norm(block.shortcut.norm, F.conv2d(x, block.shortcut.conv.weight, stride=stride))
    assert torch.allclose(block(x), F.relu(y + shortcut), atol=1e-5)


def test_valid_and_same_convolutions_over_time():
    x = torch.randn(2, 4, 30)
    assert blocks.ConvReluNorm(4, 6, 5, dilation=3, same=True)(x).shape == (2, 6, 30)
    assert blocks.ConvReluNorm(4, 6, 5, dilation=3, same=False)(x).shape == (2, 6, 30 - 12)


def test_stages_have_the_strides_and_widths_asked_for():
    stages = blocks.residual_stages((4, 6, 8), (1, 2, 1), (1, 2, 2), se_reduction=2)
    assert len(stages) == 4
    assert stages(torch.randn(2, 4, 20, 31)).shape == (2, 8, 5, 8)
