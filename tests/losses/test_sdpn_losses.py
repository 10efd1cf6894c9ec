"""Sinkhorn, me-max, the assignment loss and KoLeo against loops in Python floats."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.koleo import koleo
from sslspk.losses.sdpn import assignment_loss, information, me_max
from sslspk.losses.sinkhorn import sinkhorn


def scores(n=5, k=4, seed=0):
    return np.random.default_rng(seed).uniform(0.01, 1, (n, k))


def slow_sinkhorn(p, iterations):
    """Prototypes to N / K, recordings to 1, by turns; without iterations the recordings alone."""
    q = [[float(v) for v in row] for row in p]
    for turn in range(iterations + 1):
        if turn:
            totals = [sum(row[k] for row in q) for k in range(len(q[0]))]
            q = [[v * len(q) / len(row) / totals[k] for k, v in enumerate(row)] for row in q]
        q = [[v / sum(row) for v in row] for row in q]
    return np.array(q)


@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("shape", [(5, 4), (2, 7), (1, 3), (6, 1)])
def test_sinkhorn_equals_the_slow_version(shape, iterations):
    p = scores(*shape)
    found = sinkhorn(torch.tensor(p).log(), iterations)
    assert found.numpy() == pytest.approx(slow_sinkhorn(p, iterations), abs=1e-12)


def test_sinkhorn_balances_recordings_and_prototypes():
    q = sinkhorn(torch.tensor(scores(12, 5)).log(), 200)
    assert q.sum(1).tolist() == pytest.approx([1] * 12) and (q.sum(0) / 12).tolist() == pytest.approx([1 / 5] * 5)


def test_sinkhorn_of_scores_too_small_for_float32():
    """Of all recordings prototype 1 has e^-200: it takes its half all the same, from those that have most of it."""
    q = sinkhorn(torch.tensor([[0.0, -200.0], [0.0, -220.0]]), 3)
    assert q.isfinite().all() and q.sum(1).tolist() == pytest.approx([1, 1]) and q[0, 1] > 0.8 and q[1, 0] > 0.99


def test_sinkhorn_keeps_a_balanced_assignment():
    p = torch.eye(3) * 0.7 + 0.1
    torch.testing.assert_close(sinkhorn(p.log(), 3), p)


def test_assignment_loss_equals_the_slow_version():
    rng = np.random.default_rng(1)
    logits, q = rng.normal(size=(3, 4, 5)), rng.dirichlet(np.ones(5), 4)
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    cross = [-sum(q[b][k] * math.log(p[v][b][k]) for k in range(5)) for v in range(3) for b in range(4)]
    entropy = [-sum(q[b][k] * math.log(q[b][k]) for k in range(5)) for b in range(4)]
    out = assignment_loss(torch.tensor(p).log(), torch.tensor(q))
    assert out["loss_prototypes"].item() == pytest.approx(sum(cross) / 12)
    assert out["teacher_entropy"].item() == pytest.approx(sum(entropy) / 4)
    assert out["kl"].item() == pytest.approx(sum(cross) / 12 - sum(entropy) / 4)
    assert out["student_entropy"].item() == pytest.approx(-(p * np.log(p)).sum() / 12)


def test_the_target_gets_no_gradient():
    log_p, q = torch.zeros(2, 3, 4).log_softmax(2).requires_grad_(), torch.full((3, 4), 0.25, requires_grad=True)
    assignment_loss(log_p, q)["loss_prototypes"].backward()
    assert log_p.grad.any() and q.grad is None


def test_me_max_is_0_where_all_prototypes_are_used_alike_and_ln_k_where_one_is():
    assert me_max(torch.full((8,), 1 / 8)).item() == pytest.approx(0, abs=1e-6)
    assert me_max(torch.eye(8)[3]).item() == pytest.approx(math.log(8))
    p = [0.5, 0.3, 0.2]
    assert me_max(torch.tensor(p)).item() == pytest.approx(math.log(3) + sum(v * math.log(v) for v in p))


def test_information_of_who_is_who():
    """Each a prototype of its own: ln N; all the same, one-hot or uniform: 0."""
    assert information(torch.eye(6)[:4]).item() == pytest.approx(math.log(4))
    for row in (torch.eye(6)[2], torch.full((6,), 1 / 6)):
        assert information(row.repeat(4, 1)).item() == pytest.approx(0, abs=1e-6)


def slow_koleo(x):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    nearest = [min(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i) for i in range(len(x))]
    return -sum(math.log(d + 1e-8) for d in nearest) / len(x)


@pytest.mark.parametrize("n", [2, 3, 9])
def test_koleo_equals_brute_force(n):
    x = np.random.default_rng(n).normal(size=(n, 4)) * 3
    assert koleo(torch.tensor(x)).item() == pytest.approx(slow_koleo(x))


def test_koleo_of_opposite_vectors_and_of_equal_ones():
    """Two points as far apart as can be, 2: -ln 2. One point twice has no nearest distance, but a finite loss and slope."""
    assert koleo(torch.tensor([[1.0, 0.0], [-3.0, 0.0]])).item() == pytest.approx(-math.log(2))
    x = torch.ones(2, 3, requires_grad=True)
    koleo(x).backward()
    assert x.grad.isfinite().all() and koleo(x).item() == pytest.approx(-math.log(1e-8), rel=1e-4)


def test_koleo_slopes_are_those_of_differences():
    x = torch.tensor(np.random.default_rng(0).normal(size=(6, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(koleo, (x,))


@pytest.mark.parametrize("loss", [lambda x: sinkhorn(x, 3), koleo, lambda x: assignment_loss(x[None], x)["loss_prototypes"],
                                  lambda x: me_max(x[0])])
def test_computed_in_float32(loss):
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)).bfloat16() + 0.1
    assert loss(x).dtype == torch.float32
