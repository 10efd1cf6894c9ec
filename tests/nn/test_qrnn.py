"""The quasi-recurrent layer against a loop over its equations, and the recurrence and its gradient against one step at a time."""
import pytest
import torch
from torch.nn import functional as F

from sslspk.nn.qrnn import Qrnn, accumulate


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(layer, x, direction):
    """One recording, one step and one channel at a time (Bradbury et al. 2016, Eq. 1 and 4)."""
    steps = x.flip(2) if direction else x
    weight, bias = layer.gates[direction].weight, layer.gates[direction].bias
    hidden, inputs = len(bias) // 3, x.shape[1]
    out = torch.zeros(len(x), hidden, x.shape[2], dtype=x.dtype)
    for b in range(len(x)):
        state = torch.zeros(hidden, dtype=x.dtype)
        for t in range(x.shape[2]):
            gate = bias.clone()
            for back in range(layer.window):     # the oldest of the window comes first
                place = t - (layer.window - 1) + back
                if place >= 0:
                    for c in range(inputs):
                        gate = gate + weight[:, c, back] * steps[b, c, place]
            z, f, o = torch.tanh(gate[:hidden]), torch.sigmoid(gate[hidden:2 * hidden]), torch.sigmoid(gate[2 * hidden:])
            state = f * state + (1 - f) * z
            out[b, :, t] = o * state
    return out.flip(2) if direction else out


@pytest.mark.parametrize(("bidirectional", "window", "steps"), [(False, 2, 7), (True, 2, 9), (True, 1, 5), (False, 3, 1)])
def test_it_equals_the_equations(bidirectional, window, steps):
    torch.manual_seed(1)
    layer, x = Qrnn(3, 4, bidirectional, window).double(), random(2, 3, steps)
    expected = torch.cat([slow(layer, x, direction) for direction in range(1 + bidirectional)], 1)
    torch.testing.assert_close(layer.double()(x), expected.detach().to(x.dtype))
    assert sum(p.numel() for p in layer.parameters()) == (1 + bidirectional) * (3 * 4 * window * 3 + 3 * 4)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13, 64])
def test_the_recurrence_and_its_gradient_are_those_of_a_loop(steps):
    keep, new = torch.sigmoid(random(2, 3, steps)).requires_grad_(True), random(2, 3, steps, seed=1).requires_grad_(True)
    weights = random(2, 3, steps, seed=2)
    state, out = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(steps):
        state = keep[:, :, t] * state + new[:, :, t]
        out.append(state)
    expected = torch.stack(out, 2)
    wanted = torch.autograd.grad((expected * weights).sum(), (keep, new))
    found = accumulate(keep, new)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), (keep, new)), wanted)


def test_a_direction_knows_nothing_of_what_comes_after():
    torch.manual_seed(0)
    layer, x = Qrnn(2, 3, bidirectional=True), random(1, 2, 12).float().requires_grad_(True)
    out = layer(x)
    ahead = torch.autograd.grad(out[0, :3, 5].sum(), x, retain_graph=True)[0][0].abs().sum(0)
    behind = torch.autograd.grad(out[0, 3:, 5].sum(), x)[0][0].abs().sum(0)
    assert (ahead[:6] > 0).all() and (ahead[6:] == 0).all() and (behind[5:] > 0).all() and (behind[:5] == 0).all()


def test_ten_thousand_steps_neither_overflow_nor_forget():
    """Forget gates that stay open add up everything; the state of closed ones is the last step."""
    new = torch.ones(1, 1, 10_000)
    assert accumulate(torch.ones_like(new), new)[0, 0, -1] == 10_000
    assert torch.equal(accumulate(torch.zeros_like(new), new), new)


def test_half_precision_computes_the_recurrence_in_float32():
    torch.manual_seed(0)
    layer, x = Qrnn(20, 20), random(2, 20, 50).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.float32 and F.cosine_similarity(out.flatten(), layer(x).flatten(), 0) > 0.999
