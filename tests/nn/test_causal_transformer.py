"""The predictors of CPC_audio: one layer that looks back only."""
import math

import pytest
import torch

from sslspk.nn.causal_transformer import CausalTransformerLayer, TransformerPredictors

B, T, C, HEADS, HIDDEN = 2, 6, 8, 2, 5


def layer(size=T, dropout=0.0):
    torch.manual_seed(0)
    return CausalTransformerLayer(C, size, HEADS, HIDDEN, dropout).double()


def slow(net, x, kept=None):
    """One recording, head, query and key at a time; x (T, C). kept: (HEADS T T + T HIDDEN,), what dropout keeps."""
    kept = torch.ones(HEADS * len(x) ** 2 + len(x) * HIDDEN).double() if kept is None else kept.double() / (1 - net.dropout)
    seen_kept, units_kept = kept[:HEADS * len(x) ** 2].view(HEADS, len(x), len(x)), kept[HEADS * len(x) ** 2:].view(len(x), HIDDEN)
    width, queries, keys, values = C // HEADS, *(x @ net.projections.weight[i * C:(i + 1) * C].T for i in range(3))
    seen = torch.zeros_like(x)
    for h in range(HEADS):
        part = slice(h * width, (h + 1) * width)
        for i in range(len(x)):
            scores = [(queries[i, part] @ keys[j, part] + queries[i, part] @ net.distance[i - j]) / math.sqrt(width) for j in range(i + 1)]
            weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
            seen[i, part] = sum(weight * seen_kept[h, i, j] * values[j, part] for j, weight in enumerate(weights))
    x = torch.nn.functional.layer_norm(x + seen @ net.out.weight.T, (C,))
    inner = (x @ net.inner.weight.T + net.inner.bias).clamp_min(0) * units_kept
    return torch.nn.functional.layer_norm(x + inner @ net.outer.weight.T + net.outer.bias, (C,))


@pytest.mark.parametrize(("size", "steps"), [(T, T), (9, T), (T, 1)])
def test_it_equals_the_slow_version(size, steps):
    net, x = layer(size), torch.randn(B, steps, C, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.stack([slow(net, one) for one in x]), rtol=1e-9, atol=1e-9)


def test_no_step_sees_a_later_one_and_each_sees_all_before():
    net, x = layer(), torch.randn(1, T, C, dtype=torch.float64, requires_grad=True)
    for step in range(T):
        moved = torch.autograd.grad(net(x)[0, step].square().sum(), x)[0][0].abs().sum(1)
        assert (moved[step + 1:] == 0).all() and (moved[:step + 1] > 0).all()


def test_what_lies_how_far_back_matters():
    net, x = layer(), torch.randn(1, 3, C, dtype=torch.float64)
    with torch.no_grad():
        swapped = x[:, [1, 0, 2]]
        assert not torch.allclose(net(x)[:, 2], net(swapped)[:, 2])
        net.distance.zero_()
        torch.testing.assert_close(net(x)[:, 2], net(swapped)[:, 2])


def test_dropout_keeps_what_is_drawn():
    net, x = layer(dropout=0.3), torch.randn(B, T, C, dtype=torch.float64)
    assert sum(net.droppable(T)) == HEADS * T * T + T * HIDDEN
    kept = torch.rand(B, sum(net.droppable(T))) >= 0.3
    with torch.no_grad():
        torch.testing.assert_close(net(x, kept), torch.stack([slow(net, *one) for one in zip(x, kept, strict=True)]), rtol=1e-9, atol=1e-9)


def test_a_draw_is_of_the_pass_and_the_row():
    torch.manual_seed(0)
    net, x = TransformerPredictors(3, C, T, HIDDEN, 0.4), torch.randn(1, T, C).expand(2, -1, -1)
    first = net(x, 5, 1)
    assert torch.equal(net(x, 5, 1), first) and not torch.equal(first[0], first[1])
    assert not torch.equal(net(x, 6, 1), first) and not torch.equal(net(x, 5, 0), first)
    assert torch.equal(net.eval()(x, 5, 1), net(x, 6, 0))
    plain = TransformerPredictors(3, C, T, HIDDEN, 0.0)
    plain.load_state_dict(net.state_dict())
    torch.testing.assert_close(plain(x, 5, 1), net(x))


def test_the_share_that_is_dropped():
    net, seen = TransformerPredictors(2, C, T, HIDDEN, 0.25), []
    net.layers[1].forward = lambda x, kept: (seen.append(kept), x)[1]
    for number in range(50):
        net(torch.zeros(B, T, C), number)
    assert 1 - torch.stack(seen).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_parameters():
    """Those of CPC_audio for 256 channels and 116 steps: 12 layers in all."""
    with torch.device("meta"):
        net = TransformerPredictors(12, 256, 116)
    assert sum(p.numel() for p in net.parameters()) == 12 * (4 * 256 ** 2 + 116 * 32 + 2 * 256 * 2048 + 2048 + 256 + 4 * 256)


def test_each_step_ahead_has_a_layer_of_its_own():
    torch.manual_seed(0)
    net, x = TransformerPredictors(3, C, T).eval(), torch.randn(B, T, C)
    out = net(x).unflatten(-1, (3, C))
    assert all(torch.equal(out[:, :, k], net.layers[k](x)) for k in range(3)) and not torch.allclose(out[:, :, 0], out[:, :, 1])
