"""DINO's loss and centre against a version written pair by pair from the equations, in float64."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.losses.dino import dino_loss, updated_centre


def softmax(row, temp):
    e = [math.exp((v - max(row)) / temp) for v in row]
    return [v / sum(e) for v in e]


def slow_loss(student, teacher, centre, student_temp, teacher_temp):
    """Cho et al. 2022: for each teacher view i and student view j != i, -sum_k q_ik log p_jk, mean over pairs and batch."""
    total, pairs = 0.0, 0
    for i in range(len(teacher)):
        for j in range(len(student)):
            if i == j:
                continue
            for b in range(student.shape[1]):
                q = softmax([t - c for t, c in zip(teacher[i, b], centre, strict=True)], teacher_temp)
                p = softmax(list(student[j, b]), student_temp)
                total -= sum(a * math.log(c) for a, c in zip(q, p, strict=True))
                pairs += 1
    return total / pairs


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4), st.integers(2, 6), st.integers(0, 10 ** 6))
def test_equals_the_slow_version(teachers, extra, batch, k, seed):
    if teachers + extra < 2:
        extra = 1
    rng = np.random.default_rng(seed)
    student, teacher = rng.uniform(-1, 1, (teachers + extra, batch, k)), rng.uniform(-1, 1, (teachers, batch, k))
    centre = rng.uniform(-0.2, 0.2, k)
    out = dino_loss(*(torch.tensor(x, dtype=torch.float32) for x in (student, teacher, centre)), 0.1, 0.04)
    assert out["loss"].item() == pytest.approx(slow_loss(student, teacher, centre, 0.1, 0.04), rel=1e-5, abs=1e-6)


def test_hand_worked_case():
    """One teacher view with all its mass on prototype 0; the other student view gives it ln-probability -ln 2: loss ln 2."""
    student = torch.tensor([[[5.0, 5.0]], [[0.3, 0.3]]])
    teacher = torch.tensor([[[100.0, 0.0]]])
    out = dino_loss(student, teacher, torch.zeros(2), 0.1, 0.04)
    assert out["loss"].item() == pytest.approx(math.log(2))
    assert out["teacher_entropy"].item() == pytest.approx(0.0, abs=1e-6)
    assert out["student_entropy"].item() == pytest.approx(math.log(2))


def test_kl_is_the_mean_divergence_over_the_same_pairs():
    rng = np.random.default_rng(1)
    student, teacher, centre = rng.uniform(-1, 1, (3, 2, 5)), rng.uniform(-1, 1, (2, 2, 5)), rng.uniform(-0.2, 0.2, 5)
    wanted = []
    for i, j, b in ((i, j, b) for i in range(2) for j in range(3) for b in range(2) if i != j):
        q, p = softmax(list(teacher[i, b] - centre), 0.04), softmax(list(student[j, b]), 0.1)
        wanted.append(sum(x * math.log(x / y) for x, y in zip(q, p, strict=True)))
    out = dino_loss(*(torch.tensor(x, dtype=torch.float32) for x in (student, teacher, centre)), 0.1, 0.04)
    assert out["kl"].item() == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)
    same = torch.tensor(teacher[:1], dtype=torch.float32).repeat(2, 1, 1)
    assert dino_loss(same, same[:1], torch.zeros(5), 0.1, 0.1)["kl"].item() == pytest.approx(0.0, abs=1e-6)


def test_gradient_reaches_the_student_only_and_matches_finite_differences():
    rng = np.random.default_rng(0)
    student, teacher = rng.uniform(-1, 1, (3, 2, 4)), rng.uniform(-1, 1, (2, 2, 4))
    s = torch.tensor(student, dtype=torch.float32, requires_grad=True)
    dino_loss(s, torch.tensor(teacher, dtype=torch.float32), torch.zeros(4), 0.1, 0.04)["loss"].backward()
    h = 1e-5
    for index in [(0, 0, 0), (1, 1, 3), (2, 0, 2)]:
        up, down = student.copy(), student.copy()
        up[index] += h
        down[index] -= h
        slope = (slow_loss(up, teacher, np.zeros(4), 0.1, 0.04) - slow_loss(down, teacher, np.zeros(4), 0.1, 0.04)) / (2 * h)
        assert s.grad[index].item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_uniform_start_is_ln_k():
    z = torch.zeros(6, 3, 1000)
    assert dino_loss(z, z[:2], torch.zeros(1000), 0.1, 0.04)["loss"].item() == pytest.approx(math.log(1000), rel=1e-5)


def test_centre_moves_by_one_minus_momentum():
    centre = updated_centre(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), 0.9)
    assert centre.tolist() == pytest.approx([0.9, 0.2])
