"""Statistics of the first batches: against numpy over all of them, then still; part of the state."""
import copy

import numpy as np
import torch

from sslspk.nn.standardise import NARROW, Standardise


def batch(seed):
    x = torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(seed))
    return x * torch.tensor([1.0, 30.0, 0.01, 0.0]) + torch.tensor([0.0, 500.0, -3.0, 2.0])


def test_they_are_those_of_the_first_batches_together():
    layer, seen = Standardise(4, 3), []
    for seed in range(6):
        out = layer(batch(seed))
        seen = [*seen, batch(seed).double().flatten(0, 1).numpy()][:3]
        whole = np.concatenate(seen)
        expected = (batch(seed).double().numpy() - whole.mean(0)) / np.maximum(whole.std(0), NARROW)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
        assert out[..., 3].abs().max() == 0, "what never varies is 0"
    assert layer.seen == 3 and layer.count == 360


def test_evaluation_moves_nothing_and_needs_no_batch():
    layer = Standardise(4, 3).eval()
    assert torch.equal(layer(batch(0)), batch(0)) and layer.seen == 0
    layer.train()(batch(0))
    before = copy.deepcopy(layer.state_dict())
    torch.testing.assert_close(layer.eval()(batch(0)).mean((0, 1)), torch.zeros(4), atol=1e-4, rtol=0)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_a_copy_goes_on_the_same():
    layer, other = Standardise(4, 3), Standardise(4, 3)
    layer(batch(0))
    other.load_state_dict(layer.state_dict())
    for seed in range(1, 5):
        assert torch.equal(layer(batch(seed)), other(batch(seed)))


def test_half_precision_and_float64_stay_what_they_are():
    assert Standardise(4, 3)(batch(0).double()).dtype == torch.float64


def correlated(seed):
    mix = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor([30.0, 3.0, 1.0, 0.1])
    return torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(seed)) @ mix + 7


def test_a_ridge_takes_out_the_correlations():
    layer, ridge = Standardise(4, 2, ridge=0.2), 0.2
    layer(correlated(0))
    out = layer(correlated(1)).flatten(0, 1).double().numpy()
    whole = np.concatenate([correlated(seed).flatten(0, 1).double().numpy() for seed in (0, 1)])
    plain = (whole - whole.mean(0)) / whole.std(0)
    value, vector = np.linalg.eigh(np.corrcoef(whole.T))
    np.testing.assert_allclose(out, (plain @ (vector / np.sqrt(value + ridge)) @ vector.T)[120:], rtol=1e-4, atol=1e-4)
    both = layer(torch.cat([correlated(0), correlated(1)])).flatten(0, 1).double().numpy()
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(both.T, bias=True)), np.sort(value / (value + ridge)), atol=1e-4)


def test_a_ridge_of_the_means_leaves_what_varies_within_a_crop():
    def crops(seed):
        return correlated(seed).view(12, 10, 4)

    layer, ridge = Standardise(4, 2, ridge=0.2, means=True), 0.2
    layer(crops(0))
    out = layer(crops(1)).double().numpy()
    whole = np.concatenate([crops(seed).double().numpy() for seed in (0, 1)])
    plain = (whole - whole.mean((0, 1))) / whole.std((0, 1))
    means = plain.mean(1)
    value, vector = np.linalg.eigh(means.T @ means / len(means))
    np.testing.assert_allclose(out.mean(1), (means @ (vector / np.sqrt(value + ridge)) @ vector.T)[12:], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(out - out.mean(1, keepdims=True), (plain - means[:, None])[12:], rtol=1e-3, atol=1e-4)


def test_undoing_gives_back_what_came_in():
    for ridge, means in ((None, False), (0.1, False), (0.1, True)):
        layer = Standardise(4, 1, ridge=ridge, means=means)
        layer(correlated(0))
        torch.testing.assert_close(layer.undo(layer(correlated(1))), correlated(1), rtol=1e-4, atol=1e-3)
