"""wav2vec 2.0's contrastive loss against loops over recordings, hidden steps and negatives."""
import math

import pytest
import torch

from sslspk.losses.masked import anywhere, masked_scores, others, which_target

R, K, N, D, G = 3, 6, 9, 5, 2


def tensors(seed=0):
    rng = torch.Generator().manual_seed(seed)
    predictions, targets = (torch.randn(R, K, D, generator=rng, dtype=torch.float64) for _ in range(2))
    codes = torch.randint(2, (R, K, G), generator=rng)
    places = torch.stack([others(K, N, rng) for _ in range(R)])
    return predictions.requires_grad_(True), targets.requires_grad_(True), codes, places


def cosine(a, b):
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def slow(predictions, targets, codes, places, temperature=0.1):
    """The mean over hidden steps of -log softmax, and the share found."""
    total, found = 0.0, 0
    for r in range(R):
        for k in range(K):
            negatives = [int(j) for j in places[r, k] if any(codes[r, j, g] != codes[r, k, g] for g in range(G))]
            scores = [cosine(predictions[r, k], targets[r, j]) / temperature for j in (k, *negatives)]
            total = total + torch.log(sum(torch.exp(score) for score in scores)) - scores[0]
            found += bool(negatives) and all(scores[0] > score for score in scores[1:])
    return total / (R * K), found / (R * K)


@pytest.mark.parametrize("seed", range(4))
def test_loss_accuracy_and_gradients(seed):
    predictions, targets, codes, places = tensors(seed)
    same = (codes[:, :, None] == codes[:, None]).all(-1)
    loss, accuracy = which_target(masked_scores(predictions, targets, targets, same, places, 0.1))
    expected, found = slow(predictions, targets, codes, places)
    torch.testing.assert_close(loss, expected)
    assert accuracy.item() == pytest.approx(found)
    for ours, theirs in zip(torch.autograd.grad(loss, (predictions, targets)), torch.autograd.grad(expected, (predictions, targets)),
                            strict=True):
        torch.testing.assert_close(ours, theirs)


def test_chance_is_log_of_the_candidates():
    """Predictions that know nothing: orthogonal to all targets."""
    predictions = torch.zeros(1, 4, 3)
    predictions[..., 2] = 1
    targets = torch.randn(1, 4, 3) * torch.tensor([1.0, 1.0, 0.0])
    places = others(4, 100, torch.Generator().manual_seed(0))[None]
    loss, accuracy = which_target(masked_scores(predictions, targets, targets, torch.zeros(1, 4, 4, dtype=torch.bool), places, 0.1))
    assert loss.item() == pytest.approx(math.log(101), rel=1e-6) and accuracy == 0


def test_one_code_for_all_has_no_loss_and_finds_nothing():
    """Which is why the perplexity is watched: a collapsed quantiser has the least loss."""
    predictions, targets, _, places = tensors()
    loss, accuracy = which_target(masked_scores(predictions, targets, targets, torch.ones(R, K, K, dtype=torch.bool), places, 0.1))
    assert loss == 0 and accuracy == 0 and torch.autograd.grad(loss, predictions)[0].isfinite().all()


def test_negatives_are_any_other_step_with_equal_chance():
    places = others(5, 40000, torch.Generator().manual_seed(0))
    for k in range(5):
        counts = torch.bincount(places[k], minlength=5)
        assert counts[k] == 0 and (counts[torch.arange(5) != k] / 40000 - 0.25).abs().max() < 0.01
    assert torch.bincount(anywhere(5, 40000, torch.Generator().manual_seed(0))[2], minlength=5).min() > 7600


def test_scores_are_float32_under_autocast():
    predictions, targets, codes, places = (x.detach().float() if x.is_floating_point() else x for x in tensors())
    same = (codes[:, :, None] == codes[:, None]).all(-1)
    with torch.autocast("cpu", torch.bfloat16):
        half = masked_scores(predictions, targets, targets, same, places, 0.1)
    assert half.dtype == torch.float32 and torch.equal(half, masked_scores(predictions, targets, targets, same, places, 0.1))
