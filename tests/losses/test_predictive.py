"""CPC's losses and their gradients against loops in Python floats, written from the equations."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.predictive import batch_scores, binary_futures, elsewhere, later_scores, sampled_scores, which_future


def draw(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).requires_grad_(True)


def slow_choice(anchor, candidates, own):
    """-log softmax of one candidate, and its gradients: towards the anchor, and towards each candidate."""
    scores = [sum(a * c for a, c in zip(anchor, row, strict=True)) for row in candidates]
    total = sum(math.exp(score) for score in scores)
    share = [math.exp(score) / total - (i == own) for i, score in enumerate(scores)]
    towards = [sum(p * row[d] for p, row in zip(share, candidates, strict=True)) for d in range(len(anchor))]
    return math.log(total) - scores[own], towards, [[p * a for a in anchor] for p in share]


def slow_batch(futures, predictions):
    """The seed's listing 1, one step and one column of its matrix at a time: softmax over futures, for each context."""
    n, steps, _ = futures.shape
    loss, to_futures, to_predictions = 0.0, np.zeros(futures.shape), np.zeros(predictions.shape)
    for k in range(steps):
        for context in range(n):
            value, towards, each = slow_choice(predictions[context, k], futures[:, k], context)
            loss += value / (n * steps)
            to_predictions[context, k] += np.array(towards) / (n * steps)
            to_futures[:, k] += np.array(each) / (n * steps)
    return loss, to_futures, to_predictions


def test_in_batch_loss_and_gradient_equal_the_listing():
    futures, predictions = draw(5, 3, 4), draw(5, 3, 4, seed=1)
    losses, right = which_future(batch_scores(predictions, futures), torch.arange(5)[:, None])
    losses.mean().backward()
    slow, to_futures, to_predictions = slow_batch(futures.detach().numpy(), predictions.detach().numpy())
    assert losses.shape == right.shape == (5, 3) and losses.mean().item() == pytest.approx(slow, rel=1e-12)
    np.testing.assert_allclose(futures.grad, to_futures, atol=1e-12)
    np.testing.assert_allclose(predictions.grad, to_predictions, atol=1e-12)


def test_the_other_axis_is_a_softmax_over_contexts():
    """log_softmax(axis=1) of the listing's matrix [future x prediction]; the two axes differ."""
    futures, predictions = draw(5, 3, 4), draw(5, 3, 4, seed=1)
    losses, _ = which_future(batch_scores(futures, predictions), torch.arange(5)[:, None])
    losses.mean().backward()
    slow, to_predictions, to_futures = slow_batch(predictions.detach().numpy(), futures.detach().numpy())
    assert losses.mean().item() == pytest.approx(slow, rel=1e-12)
    np.testing.assert_allclose(futures.grad, to_futures, atol=1e-12)
    np.testing.assert_allclose(predictions.grad, to_predictions, atol=1e-12)
    other, _ = which_future(batch_scores(predictions, futures), torch.arange(5)[:, None])
    assert abs(other.mean().item() - slow) > 1e-3


def test_sampled_loss_and_gradient():
    predictions, futures, negatives = draw(2, 3, 4, 5), draw(2, 3, 4, 5, seed=1), draw(2, 3, 6, 5, seed=2)
    losses, _ = which_future(sampled_scores(predictions, futures, negatives, average=True), torch.zeros((), dtype=torch.int64))
    losses.mean().backward()
    p, f, n = (x.detach().numpy() for x in (predictions, futures, negatives))
    slow, grads = 0.0, [np.zeros(x.shape) for x in (p, f, n)]
    for b, t, k in np.ndindex(2, 3, 4):
        value, towards, each = slow_choice(p[b, t, k] / 5, [f[b, t, k], *n[b, t]], 0)   # / 5: the mean over channels
        slow += value / 24
        grads[0][b, t, k] += np.array(towards) / 5 / 24
        grads[1][b, t, k] += np.array(each[0]) / 24
        grads[2][b, t] += np.array(each[1:]) / 24
    assert losses.shape == (2, 3, 4) and losses.mean().item() == pytest.approx(slow, rel=1e-12)
    for x, grad in zip((predictions, futures, negatives), grads, strict=True):
        np.testing.assert_allclose(x.grad, grad, atol=1e-12)


def test_right_is_the_highest_score_and_a_blind_guess_costs_log_n():
    scores = torch.tensor([[1.0, 0.0, 0.5], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    losses, right = which_future(scores, torch.tensor([0, 0, 2]))
    assert right.tolist() == [True, False, False] and losses[2].item() == pytest.approx(math.log(3))


def test_scores_are_float32_under_autocast():
    a, b = torch.randn(4, 2, 8), torch.randn(4, 2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        scores = batch_scores(a.bfloat16(), b.bfloat16())
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, torch.einsum("nmc,jmc->nmj", a.bfloat16().float(), b.bfloat16().float()))


def test_negatives_come_from_anywhere_but_the_futures_to_predict():
    """Every other step of the batch is drawn, about equally often, the position itself and other recordings' among them."""
    places = elsewhere(3, 7, 0, 2, 4000, torch.Generator().manual_seed(0))
    assert places.shape == (3, 5, 4000)
    for b, t in np.ndindex(3, 5):
        counts = np.bincount(places[b, t], minlength=21)
        assert set(np.flatnonzero(counts == 0)) == {7 * b + t + 1, 7 * b + t + 2}
        assert counts[counts > 0].min() > 140 and counts.max() < 290   # 4000 / 19 = 210, five deviations are 73


def test_negatives_of_the_last_position_alone():
    last = elsewhere(3, 7, 4, 2, 50, torch.Generator().manual_seed(1))
    assert last.shape == (3, 1, 50) and not any(((last[b] == 7 * b + 5) | (last[b] == 7 * b + 6)).any() for b in range(3))


def slow_binary(predictions, steps, negatives, offset, weight):
    """wav2vec's loss one prediction at a time: the sum over all that have a step to be of, and how many were right."""
    losses, right = [], 0.0
    for b in range(len(steps)):
        for k in range(predictions.shape[2]):
            for t in range(steps.shape[1] - offset - k):
                ahead = t + offset + k
                own = (predictions[b, t, k] * steps[b, ahead]).sum()
                others = [(predictions[b, t, k] * negative).sum() for negative in negatives[b, ahead]]
                losses.append(-torch.log(torch.sigmoid(own)) - weight * sum(torch.log(1 - torch.sigmoid(other)) for other in others))
                right += bool(own > 0) / 2 + sum(bool(other < 0) for other in others) / (2 * len(others))
    return torch.stack(losses), right


@pytest.mark.parametrize(("offset", "size"), [(1, 7), (3, 7), (3, 5)])
def test_binary_losses_of_steps_ahead_equal_a_loop(offset, size):
    """Of 5 steps the first sees one that is 3 and one that is 4 ahead; the third predictor has none."""
    predictions, steps, negatives = draw(2, size, 3, 4), draw(2, size, 4, seed=1), draw(2, size, 5, 4, seed=2)
    losses, right = binary_futures(later_scores(predictions, steps, negatives, offset), 0.2)
    slow, count = slow_binary(predictions, steps, negatives, offset, 0.2)
    assert losses.numel() == len(slow) == 2 * sum(max(size - offset - k, 0) for k in range(3))
    assert float(right.sum()) == pytest.approx(count)
    torch.testing.assert_close(losses.mean(), slow.mean())
    for mine, wanted in zip(*(torch.autograd.grad(loss.mean(), (predictions, steps, negatives)) for loss in (losses, slow)), strict=True):
        torch.testing.assert_close(mine, wanted)


def test_candidates_are_kept_once_for_all_steps_ahead():
    """Backward needs what went in, and no copy of the candidates for each of 12 predictors."""
    parts, kept = (draw(2, 40, 12, 8), draw(2, 40, 8, seed=1), draw(2, 40, 10, 8, seed=2)), {}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.update({x.untyped_storage().data_ptr(): x}), lambda none: none):
        later_scores(*parts, 3)
    assert sum(x.untyped_storage().nbytes() for x in kept.values()) <= 1.1 * sum(x.untyped_storage().nbytes() for x in parts)


def test_by_chance_a_yes_and_all_noes_together_cost_two_ln_2():
    losses, right = binary_futures(torch.zeros(3, 11), 1 / 10)
    torch.testing.assert_close(losses, torch.full((3,), 2 * math.log(2)))
    assert not right.any(), "neither yes nor no"
