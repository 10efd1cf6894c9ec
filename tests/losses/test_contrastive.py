"""The contrastive losses against loops in Python floats, written from the equations."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.losses.contrastive import affinity_contrastive, false_negatives, info_nce, reweighted


def double(x):
    return torch.tensor(x, dtype=torch.float64)


def slow_affinity(logits, affinity, valid):
    """Khosla et al. 2020, Eq. 2, with a weight on each positive instead of 1 / |P(i)|."""
    losses = []
    for s, a, take in zip(logits, affinity, valid, strict=True):
        columns = [j for j in range(len(s)) if take[j]]
        total = sum(a[j] for j in columns)
        denominator = sum(math.exp(s[k]) for k in columns)
        losses.append(-sum(a[j] / total * math.log(math.exp(s[j]) / denominator) for j in columns) if total > 0 else 0.0)
    return losses


def slow_info_nce(positive, negative, temperature):
    losses = []
    for p, row in zip(positive, negative, strict=True):
        top = math.exp(p / temperature)
        losses.append(-math.log(top / (top + sum(math.exp(x / temperature) for x in row))))
    return losses


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.booleans(), st.integers(0, 10 ** 6))
def test_affinity_loss_equals_the_slow_version(n, columns, graded, seed):
    """Rows without a positive or without any valid column come up too."""
    rng = np.random.default_rng(seed)
    logits, valid = rng.uniform(-15, 15, (n, columns)), rng.random((n, columns)) < 0.7
    affinity = rng.random((n, columns)) < 0.4
    if graded:
        affinity = affinity * rng.uniform(0, 3, (n, columns))
    wanted = slow_affinity(logits, affinity, valid)
    double_loss = affinity_contrastive(double(logits), torch.tensor(affinity), torch.tensor(valid))
    assert double_loss.tolist() == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    loss = affinity_contrastive(double(logits).float(), torch.tensor(affinity), torch.tensor(valid))
    assert loss.tolist() == pytest.approx(wanted, rel=1e-5, abs=2e-5)


def test_affinity_loss_hand_worked():
    """Anchor 0: equal logits, two positives among four valid columns: ln 4. Anchor 1: odds 3 : 1, affinities 3 : 1."""
    logits = torch.tensor([[9.0, 1.0, 1.0, 1.0, 1.0], [math.log(3), 0.0, 50.0, 50.0, 50.0]])
    affinity = torch.tensor([[5.0, 1.0, 0.0, 1.0, 0.0], [1.5, 0.5, 9.0, 0.0, 0.0]])
    valid = torch.tensor([[False, True, True, True, True], [True, True, False, False, False]])
    loss = affinity_contrastive(logits, affinity, valid)
    assert loss.tolist() == pytest.approx([math.log(4), -0.75 * math.log(0.75) - 0.25 * math.log(0.25)], rel=1e-6)


def test_with_one_positive_it_is_nt_xent_and_with_the_others_as_negatives_info_nce():
    """Chen et al. 2020, Eq. 1: of 2 B views each attracts the other view of its recording and repels the rest."""
    rng = np.random.default_rng(0)
    batch, temperature = 4, 0.1
    z = rng.normal(size=(2 * batch, 6))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    partner = [(i + batch) % (2 * batch) for i in range(2 * batch)]
    cosine = z @ z.T
    wanted = [-math.log(math.exp(cosine[i, partner[i]] / temperature)
                        / sum(math.exp(cosine[i, k] / temperature) for k in range(2 * batch) if k != i)) for i in range(2 * batch)]
    positives = torch.eye(2 * batch, dtype=torch.bool)[partner]
    loss = affinity_contrastive(double(cosine) / temperature, positives, ~torch.eye(2 * batch, dtype=torch.bool))
    assert loss.tolist() == pytest.approx(wanted, rel=1e-10)
    rest = [[cosine[i, k] for k in range(2 * batch) if k not in (i, partner[i])] for i in range(2 * batch)]
    own = double([cosine[i, partner[i]] for i in range(2 * batch)])
    assert info_nce(own, double(rest), temperature).tolist() == pytest.approx(wanted, rel=1e-10)


def test_lonely_anchors_give_nothing_and_push_nothing():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    affinity = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    valid = torch.tensor([[True] * 4, [False, True, True, True], [False] * 4])
    loss = affinity_contrastive(logits, affinity, valid)
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 0]
    assert torch.equal(logits.grad, torch.zeros(3, 4))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.sampled_from([0.05, 0.07, 0.5]), st.integers(0, 10 ** 6))
def test_info_nce_equals_the_slow_version(batch, k, temperature, seed):
    rng = np.random.default_rng(seed)
    positive, negative = rng.uniform(-1, 1, batch), rng.uniform(-1, 1, (batch, k))
    wanted = slow_info_nce(positive, negative, temperature)
    assert info_nce(double(positive), double(negative), temperature).tolist() == pytest.approx(wanted, rel=1e-10)
    loss = info_nce(double(positive).float(), double(negative).float(), temperature)
    assert loss.tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_info_nce_hand_worked():
    """Positive and all seven negatives alike: ln 8, whatever the temperature."""
    assert info_nce(torch.full((1,), 0.3), torch.full((1, 7), 0.3), 0.07).item() == pytest.approx(math.log(8), rel=1e-6)


def test_gradients_match_finite_differences():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, generator=g, dtype=torch.float64, requires_grad=True)
    affinity = torch.rand(3, 5, generator=g, dtype=torch.float64)
    valid = torch.tensor([[False, True, True, True, True], [True, True, False, True, False], [False] * 5])
    assert torch.autograd.gradcheck(lambda x: affinity_contrastive(x, affinity, valid), (logits,))
    positive = torch.rand(3, generator=g, dtype=torch.float64, requires_grad=True)
    negative = torch.rand(3, 4, generator=g, dtype=torch.float64, requires_grad=True)
    flagged = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda p, n: info_nce(p, n, 0.07), (positive, negative))
    assert torch.autograd.gradcheck(lambda p, n: reweighted(info_nce(p, n, 0.07), flagged, 0.9, 0.3), (positive, negative))


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_extreme_logits_stay_finite(size):
    """Distances of 2 size: the loss of an anchor whose positive is far below a negative is that distance."""
    logits = torch.tensor([[size, -size, 0.0], [-size, size, 0.0]], requires_grad=True)
    loss = affinity_contrastive(logits, torch.tensor([[True, False, False]] * 2), torch.tensor([[True, True, False]] * 2))
    loss.sum().backward()
    assert loss.tolist() == [0, 2 * size]
    assert torch.isfinite(logits.grad).all()
    assert info_nce(torch.tensor([1.0, -1.0]), torch.tensor([[-1.0], [1.0]]), 1 / size).tolist() == pytest.approx([0, 2 * size])


@pytest.mark.parametrize(("given_type", "type_inside"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_computed_in_float32_at_least(given_type, type_inside):
    """The same under autocast, bit for bit; float64 stays float64."""
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)).to(given_type)
    valid = torch.ones(4, 6, dtype=torch.bool)

    def all_of_them():
        return affinity_contrastive(x, x, valid), info_nce(x[:, 0], x, 0.07), reweighted(x[:, 0], valid[:, 0], 1.0, 0.3)

    plain = all_of_them()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = all_of_them()
    assert [y.dtype for y in plain] == [type_inside] * 3
    assert all(torch.equal(a, b) for a, b in zip(plain, autocast, strict=True))


def test_exactly_the_planted_false_negatives_are_flagged():
    """Unit vectors: keys at known angles to the anchor. Anchor 2's own key is too far away for any suspicion (below 0.4)."""
    angles = {"near": 0.3, "far": 1.4}  # cosines 0.955 and 0.170
    own = [0.5, 0.9, 1.3]               # cosines 0.878, 0.622, 0.267; 0.8 of them 0.702, 0.497, 0.214
    planted = [(0, 2), (0, 5), (1, 0), (2, 1)]
    positive = torch.tensor([math.cos(x) for x in own])
    negative = torch.full((3, 6), math.cos(angles["far"]))
    for i, j in planted:
        negative[i, j] = math.cos(angles["near"])
    found = false_negatives(positive, negative)
    assert [tuple(x) for x in found.nonzero().tolist()] == [(0, 2), (0, 5), (1, 0)]
    assert found.any(1).tolist() == [True, True, False]


def test_the_borders_of_the_false_negative_test():
    """Both comparisons are strict; a dissimilar own key may be exceeded by anything. Numbers that binary fractions hold."""
    positive = torch.tensor([0.5, 0.5, 0.4, 0.40625, -0.5], dtype=torch.float64)
    negative = torch.tensor([[0.375], [0.3750001], [0.99], [0.99], [0.0]], dtype=torch.float64)
    assert false_negatives(positive, negative, ratio=0.75).squeeze(1).tolist() == [False, True, False, True, False]
    assert false_negatives(positive, negative, ratio=0.75, floor=-1.0).squeeze(1).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 32, 100, 255, 256, 1000, 4097])
@pytest.mark.parametrize("flags", [0.0, 0.3, 1.0])
def test_weights_of_one_are_the_mean_bit_for_bit(n, flags):
    g = torch.Generator().manual_seed(n)
    flagged = torch.rand(n, generator=g) < flags
    a = (9 * torch.rand(n, generator=g)).requires_grad_()
    b = a.detach().clone().requires_grad_()
    weighted, mean = reweighted(a, flagged, 1.0, 1.0), b.mean()
    weighted.backward()
    mean.backward()
    assert torch.equal(weighted, mean)
    assert torch.equal(a.grad, b.grad)


def test_reweighted_hand_worked():
    """(1 x 2 + 0.5 x 4 + 1 x 1 + 0.5 x 3) / 4; a weight of 0 drops the anchor, its share of the mean with it."""
    losses, flagged = torch.tensor([2.0, 4.0, 1.0, 3.0]), torch.tensor([False, True, False, True])
    assert reweighted(losses, flagged, 1.0, 0.5).item() == 6.5 / 4
    assert reweighted(losses, flagged, 1.0, 0.0).item() == 3.0 / 4
    assert reweighted(losses, flagged, 2.0, 0.5).item() == 9.5 / 4


def test_nothing_waits_for_the_device():
    """A meta tensor has a shape and no values: reading one, or a shape that depends on them, raises."""
    x, flag = torch.empty(4, 6, device="meta"), torch.empty(4, 6, device="meta", dtype=torch.bool)
    assert affinity_contrastive(x, flag, flag).shape == info_nce(x[:, 0], x, 0.07).shape == (4,)
    assert false_negatives(x[:, 0], x).shape == (4, 6)
    assert reweighted(x[:, 0], flag.any(1), 1.0, 0.5).shape == ()
