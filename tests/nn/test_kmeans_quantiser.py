"""The k-means quantiser against loops over steps, groups and code words."""
import pytest
import torch

from sslspk.nn.quantise import KmeansQuantiser

DIM, CODES, GROUPS = 6, 5, 2


def make(combine):
    torch.manual_seed(0)
    quantiser = KmeansQuantiser(DIM, CODES, GROUPS, combine).double()
    with torch.no_grad():   # code words that lie among the steps, and a normalisation that is not its first one
        quantiser.vars.normal_()
        quantiser.norm.weight.uniform_(0.5, 1.5)
        quantiser.norm.bias.normal_()
    return quantiser


def inputs(rows=3, steps=8):
    return torch.randn(rows, steps, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def projected(quantiser, x):
    """(B, T, G, C / G): each group's channels by its own matrix, then mean 0 and variance 1 over the group's channels and time."""
    width, parts = DIM // GROUPS, []
    for g in range(GROUPS):
        inside = slice(g * width, (g + 1) * width)
        z = x[..., inside] @ quantiser.projection.weight[inside, :, 0].T
        mean = z.mean((1, 2), keepdim=True)
        z = (z - mean) / ((z - mean).square().mean((1, 2), keepdim=True) + 1e-5).sqrt()
        parts.append(z * quantiser.norm.weight[inside] + quantiser.norm.bias[inside])
    return torch.stack(parts, 2)


def slow(quantiser, x):
    """(values, codes, loss of the code words, loss of the steps), one step and group at a time."""
    z, books = projected(quantiser, x), [quantiser.vars[0 if len(quantiser.vars) == 1 else g] for g in range(GROUPS)]
    words, codes = torch.zeros_like(z), torch.zeros(z.shape[:3], dtype=torch.int64)
    for b in range(z.shape[0]):
        for t in range(z.shape[1]):
            for g, book in enumerate(books):
                codes[b, t, g] = min(range(CODES), key=lambda v: float((z[b, t, g] - book[v]).detach().square().sum()))
                words[b, t, g] = book[codes[b, t, g]]
    return words.flatten(2), codes, (words - z.detach()).square().mean(), (z - words.detach()).square().mean()


@pytest.mark.parametrize("combine", [False, True])
def test_nearest_code_words_and_both_losses(combine):
    quantiser, x = make(combine), inputs()
    out, (values, codes, loss_codes, loss_commitment) = quantiser(x), slow(quantiser, x)
    assert torch.equal(out.codes, codes) and len(codes.unique()) > 2
    torch.testing.assert_close(out.values, values)
    torch.testing.assert_close((out.loss_codes, out.loss_commitment), (loss_codes, loss_commitment))
    weights = list(quantiser.parameters())
    for mine, wanted in ((out.loss_codes, loss_codes), (out.loss_commitment, loss_commitment)):
        found, true = (torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True) for loss in (mine, wanted))
        for a, b in zip(found, true, strict=True):
            torch.testing.assert_close(torch.zeros(()) if a is None else a, torch.zeros(()) if b is None else b)
    assert torch.autograd.grad(out.loss_codes, quantiser.projection.weight, retain_graph=True, allow_unused=True)[0] is None
    assert torch.autograd.grad(out.loss_commitment, quantiser.vars, retain_graph=True, allow_unused=True)[0] is None


def test_gradients_pass_the_choice_as_if_it_had_not_been_made():
    quantiser, x = make(True), inputs().requires_grad_(True)
    direction = torch.randn(3, 8, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mine, = torch.autograd.grad((quantiser(x).values * direction).sum(), x)
    wanted, = torch.autograd.grad((projected(quantiser, x).flatten(2) * direction).sum(), x)
    torch.testing.assert_close(mine, wanted)


def test_perplexity_counts_the_code_words_that_are_taken():
    quantiser, x = make(False), inputs()
    with torch.no_grad():
        quantiser.vars.copy_(torch.arange(CODES, dtype=torch.float64)[None, :, None] * 100)   # all steps are next to the first
    assert quantiser(x).code_perplexity.item() == pytest.approx(GROUPS, abs=1e-4)
    with torch.no_grad():
        quantiser.vars.normal_()
    out = quantiser(x)
    shares = torch.stack([torch.bincount(out.codes[..., g].flatten(), minlength=CODES) for g in range(GROUPS)]) / 24
    assert out.code_perplexity.item() == pytest.approx(float(torch.special.entr(shares).sum(1).exp().sum()), rel=1e-5)


def test_half_precision_chooses_as_float32_does():
    quantiser, x = make(True).float(), inputs().float()
    with torch.autocast("cpu", torch.bfloat16):
        half = quantiser(x)
    assert torch.equal(half.codes, quantiser(x).codes) and half.loss_codes.dtype == half.values.dtype == torch.float32
