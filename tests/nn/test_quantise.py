"""The Gumbel quantiser against loops over vectors, groups and codes."""
import math

import pytest
import torch

from sslspk.nn.quantise import GumbelQuantiser

DIM, CODES, GROUPS, OUT = 6, 5, 3, 12


def make(**options):
    torch.manual_seed(0)
    return GumbelQuantiser(DIM, CODES, GROUPS, OUT, **options)


def inputs(rows=4, steps=7):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, steps, DIM, generator=generator, dtype=torch.float64)
    return x, torch.rand(rows, steps, GROUPS, CODES, generator=generator, dtype=torch.float64)


def slow(quantiser, x, noise, temperature, hard_gradient=False):
    """Values, codes and perplexities, one vector and group at a time; differentiable where the real one is."""
    weight, bias = quantiser.weight_proj[0].weight, quantiser.weight_proj[0].bias
    rows, codes, shares, likeliest = [], [], [[] for _ in range(GROUPS)], [[] for _ in range(GROUPS)]
    for i in range(len(x)):
        parts = []
        for g in range(GROUPS):
            scores = torch.stack([weight[g * CODES + v] @ x[i] + bias[g * CODES + v] for v in range(CODES)])
            exps = scores.exp()
            shares[g].append(exps / exps.sum())
            likeliest[g].append(int(scores.argmax()))
            noised = torch.stack([(scores[v] - torch.log(-torch.log(noise[i, g, v]))) / temperature for v in range(CODES)])
            best = int(noised.argmax())
            soft = noised.exp() / noised.exp().sum()
            book = quantiser.vars[0 if len(quantiser.vars) == 1 else g]
            value = book[best]
            if hard_gradient:   # the softmax's gradient, and of the chosen code alone for the code book
                value = value + sum((soft[v] - soft[v].detach()) * book[v].detach() for v in range(CODES))
            parts.append(value)
            codes.append(best)
        rows.append(torch.cat(parts))
    perplexity = sum(torch.exp(-sum(p * torch.log(p + 1e-7) for p in torch.stack(share).mean(0))) for share in shares)
    counts = [[chosen.count(v) / len(x) for v in range(CODES)] for chosen in likeliest]
    hard = sum(math.exp(-sum(p * math.log(p) for p in count if p)) for count in counts)
    return torch.stack(rows), torch.tensor(codes).view(-1, GROUPS), perplexity, hard


@pytest.mark.parametrize("combine", [False, True])
def test_values_codes_perplexities_and_gradients(combine):
    quantiser, (x, noise) = make(combine_groups=combine).double(), inputs()
    out = quantiser(x, 0.7, noise)
    values, codes, perplexity, hard = slow(quantiser, x.flatten(0, 1), noise.flatten(0, 1), 0.7, hard_gradient=True)
    assert torch.equal(out.codes, codes.view(4, 7, GROUPS)) and out.values.shape == (4, 7, OUT)
    torch.testing.assert_close(out.values.flatten(0, 1), values)
    torch.testing.assert_close(out.perplexity, perplexity)
    assert out.code_perplexity.item() == pytest.approx(hard, rel=1e-5) and not out.code_perplexity.requires_grad
    direction = torch.randn(28, OUT, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = list(quantiser.parameters())
    ours = torch.autograd.grad((out.values.flatten(0, 1) * direction).sum() - out.perplexity, weights)
    theirs = torch.autograd.grad((values * direction).sum() - perplexity, weights)
    for a, b in zip(ours, theirs, strict=True):
        assert b.any()
        torch.testing.assert_close(a, b)


def test_evaluation_takes_the_likeliest_code():
    quantiser, (x, noise) = make().double().eval(), inputs()
    out = quantiser(x, 0.7)
    scores = quantiser.weight_proj(x).unflatten(-1, (GROUPS, CODES))
    assert torch.equal(out.codes, scores.argmax(-1)) and torch.equal(out.values, quantiser(x, 5.0, noise).values)
    assert torch.equal(out.values[0, 0, :4], quantiser.vars[0, out.codes[0, 0, 0]])


def test_a_high_temperature_does_not_change_what_is_chosen_and_a_low_one_sharpens_the_gradient():
    quantiser, (x, noise) = make().double(), inputs()
    cold, hot = (quantiser(x, temperature, noise) for temperature in (0.5, 2.0))
    assert torch.equal(cold.codes, hot.codes) and torch.equal(cold.values, hot.values)
    gradients = [torch.autograd.grad(out.values.sum(), quantiser.weight_proj[0].weight)[0] for out in (cold, hot)]
    assert not torch.allclose(*gradients)


def test_noise_at_its_ends():
    """A uniform number of 0 forbids a code, and one that is rounded to 1 enforces it."""
    quantiser, (x, noise) = make(), inputs()
    noise[..., 0], noise[..., 1] = 0, 0.5
    forbidden = quantiser(x.float(), 1.0, noise.float())
    noise[..., 0] = 1
    enforced = quantiser(x.float(), 1.0, noise.float())
    assert (forbidden.codes != 0).all() and (enforced.codes == 0).all()
    assert forbidden.values.isfinite().all() and enforced.values.isfinite().all()


def test_codes_are_drawn_by_their_share():
    """The Gumbel-max draw: code v with the probability that the softmax says."""
    quantiser, x = make(), inputs(1, 1)[0].float()
    shares = quantiser.weight_proj(x).unflatten(-1, (GROUPS, CODES)).softmax(-1)[0, 0]
    many = quantiser(x.expand(20000, 1, DIM), 1.0).codes[:, 0]
    found = torch.stack([(many == v).float().mean(0) for v in range(CODES)], 1)
    torch.testing.assert_close(found, shares, atol=0.015, rtol=0)


def test_first_weights_and_sizes():
    quantiser = GumbelQuantiser(512, 320, 2, 256)
    assert sum(weight.numel() for weight in quantiser.parameters()) == 513 * 640 + 320 * 256
    assert quantiser.weight_proj[0].weight.std().item() == pytest.approx(1, rel=0.01) and not quantiser.weight_proj[0].bias.any()
    assert quantiser.vars.shape == (2, 320, 128) and quantiser.vars.min() >= 0
    assert quantiser.vars.mean().item() == pytest.approx(0.5, abs=0.01)
    deep = GumbelQuantiser(512, 320, 2, 512, depth=2, combine_groups=True)   # vq-wav2vec's
    assert sum(weight.numel() for weight in deep.parameters()) == 513 * 1536 + 1537 * 640 + 320 * 256
    assert deep(torch.randn(3, 512), 1.0).values.shape == (3, 512)


def test_figures_are_float32_under_autocast():
    quantiser, (x, noise) = make(), inputs()
    with torch.autocast("cpu", torch.bfloat16):
        out = quantiser(x.float(), 1.0, noise.float())
    exact = quantiser(x.float(), 1.0, noise.float())
    assert torch.equal(out.values, exact.values) and torch.equal(out.perplexity, exact.perplexity) and out.values.dtype == torch.float32
