"""The learnt band-pass filters against a loop over the formula, and what they let through."""
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sslspk.nn.sinc import SincConv


def slow_filter(low, high, kernel):
    """SincNet, Eq. 4 to 8, with edges as fractions of the rate, over twice the bandwidth."""
    out = []
    for i in range(kernel):
        n = i - kernel // 2
        ideal = 2 * (high - low) if n == 0 else (math.sin(2 * math.pi * high * n) - math.sin(2 * math.pi * low * n)) / (math.pi * n)
        out.append(ideal * (0.54 - 0.46 * math.cos(2 * math.pi * i / (kernel - 1))) / (2 * (high - low)))
    return out


@pytest.mark.parametrize(("kernel", "odd"), [(10, 11), (11, 11), (51, 51)])
def test_filters_equal_the_formula(kernel, odd):
    layer = SincConv(12, kernel, 5, 16000).double()
    low, high = (x.tolist() for x in layer.edges())
    slow = [slow_filter(a, b, odd) for a, b in zip(low, high, strict=True)]
    np.testing.assert_allclose(layer.filters().detach(), slow, atol=1e-7)
    assert sum(p.numel() for p in layer.parameters()) == 2 * 12, "two parameters a filter"


def test_initial_edges_are_even_on_the_mel_scale():
    """From 30 Hz to half the rate less 100 Hz; the least lower edge and the least width are 50 Hz each."""
    low, high = (16000 * x.detach().double() for x in SincConv(512, 10, 5, 16000).edges())
    mel = 1127 * torch.log1p((low - 50) / 700)
    assert low[0].item() == pytest.approx(80, abs=0.01) and high[-1].item() == pytest.approx(8000, abs=0.1)
    assert mel.diff().max().item() == pytest.approx(mel.diff().min().item(), rel=1e-3)
    assert (high - low).min() >= 50 and (low >= 50).all()


def test_edges_stay_possible_wherever_the_parameters_go():
    layer = SincConv(4, 11, 5, 16000)
    with torch.no_grad():
        layer.low.copy_(torch.tensor([-0.1, 0.0, 0.7, 3.0]))
        layer.band.copy_(torch.tensor([0.0, -2.0, 5.0, 0.0]))
    low, high = layer.edges()
    assert ((low > 0) & (high > low) & (high <= 0.5)).all() and layer.filters().isfinite().all()


def test_a_long_filter_passes_its_band_alone():
    layer = SincConv(1, 1001, 1, 16000)
    with torch.no_grad():
        layer.low.fill_(950 / 16000)
        layer.band.fill_(950 / 16000)   # 1000 to 2000 Hz
    time = torch.arange(4000) / 16000
    def power(hz):
        return layer(torch.sin(2 * math.pi * hz * time)[None, None]).pow(2).mean().item()
    assert power(1500) > 1000 * max(power(500), power(3000))


def test_it_is_a_convolution_and_learns_its_edges():
    layer, x = SincConv(6, 10, 5, 16000), torch.randn(2, 1, 200)
    y = layer(x)
    assert y.shape == (2, 6, 1 + (200 - 11) // 5)
    torch.testing.assert_close(y, F.conv1d(x, layer.filters()[:, None], stride=5))
    y.square().sum().backward()
    assert layer.low.grad.abs().min() > 0 and layer.band.grad.abs().min() > 0
