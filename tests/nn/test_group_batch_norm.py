"""Grouped BatchNorm against torch's own, group by group."""
import copy

import pytest
import torch
from torch import nn

from sslspk.errors import InputError
from sslspk.nn import group_batch_norm

SHAPES = {"1d": (nn.BatchNorm1d, (12, 5)), "1d frames": (nn.BatchNorm1d, (12, 5, 7)), "2d": (nn.BatchNorm2d, (12, 5, 3, 4))}


def layer(kind, affine=True):
    torch.manual_seed(0)
    old = nn.Sequential(kind(5, affine=affine))
    if affine:
        nn.init.normal_(old[0].weight)
        nn.init.normal_(old[0].bias)
    return old.double()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_each_group_is_normalised_alone(name, affine):
    kind, shape = SHAPES[name]
    plain, x = layer(kind, affine), torch.randn(shape, dtype=torch.float64)
    grouped = group_batch_norm.convert(copy.deepcopy(plain), 4)
    a, b = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    found = grouped(a)
    copies = [copy.deepcopy(plain) for _ in range(3)]
    expected = torch.cat([one(part) for one, part in zip(copies, b.split(4), strict=True)])
    torch.testing.assert_close(found, expected)
    (found ** 3).sum().backward()
    (expected ** 3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    for statistic in ("running_mean", "running_var"):
        mean = torch.stack([getattr(one[0], statistic) for one in copies]).mean(0)
        torch.testing.assert_close(getattr(grouped[0], statistic), mean)
    assert grouped[0].num_batches_tracked == 1


def test_one_recording_tells_nothing_of_another_group():
    grouped, x = group_batch_norm.convert(layer(nn.BatchNorm1d), 4), torch.randn(8, 5, dtype=torch.float64)
    before = grouped(x)
    x[0] += 10
    after = grouped(x)
    assert torch.equal(before[4:], after[4:]) and not torch.allclose(before[1:4], after[1:4])


def test_evaluation_is_torchs_own():
    plain = layer(nn.BatchNorm2d)
    grouped = group_batch_norm.convert(copy.deepcopy(plain), 4).eval()
    x = torch.randn(3, 5, 2, 2, dtype=torch.float64)
    assert torch.equal(grouped(x), plain.eval()(x))
    assert list(grouped.state_dict()) == list(plain.state_dict())


def test_a_batch_that_does_not_fall_into_groups_is_refused():
    grouped = group_batch_norm.convert(layer(nn.BatchNorm1d), 4)
    with pytest.raises(InputError, match=r"10 utterances .* groups of 4 .*batch_norm_group"):
        grouped(torch.randn(10, 5, dtype=torch.float64))


def test_the_layer_itself_may_be_what_is_converted():
    grouped = group_batch_norm.convert(nn.BatchNorm1d(5).double(), 4)
    x = torch.randn(8, 5, dtype=torch.float64)
    assert torch.equal(grouped(x)[:4], nn.BatchNorm1d(5).double()(x[:4]))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_memory_layout_stays(layout):
    """The convolutions after it are faster on CPU in the layout that the encoder chose."""
    grouped, x = group_batch_norm.convert(layer(nn.BatchNorm2d), 4), torch.randn(12, 5, 3, 4, dtype=torch.float64)
    found = grouped(x.contiguous(memory_format=layout))
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found, group_batch_norm.convert(layer(nn.BatchNorm2d), 4)(x))


def test_statistics_stay_float32_under_half_precision():
    """Under autocast a layer reads bfloat16 maps: the statistics are those of the maps in float32."""
    grouped, exact = (group_batch_norm.convert(nn.Sequential(nn.BatchNorm1d(5)), 4) for _ in range(2))
    x = torch.randn(8, 5, 7).bfloat16()
    y, wanted = grouped(x), exact(x.float())
    assert y.dtype == torch.bfloat16 and grouped[0].running_var.dtype == torch.float32
    torch.testing.assert_close(y.float(), wanted, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(grouped[0].running_var, exact[0].running_var, rtol=1e-5, atol=1e-6)
