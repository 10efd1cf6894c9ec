"""DINO's loss and centre against a version written pair by pair from the equations, in float64."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from sslspk.losses import dino
from sslspk.losses.dino import dino_loss, updated_centre
from sslspk.losses.precision import wide


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


def whole_batch(student, teacher, centre, student_temp, teacher_temp):
    """The same loss and figures on the whole batch at once, whose gradient torch derives."""
    log_p = torch.log_softmax(wide(student) / student_temp, dim=-1)
    log_q = torch.log_softmax((wide(teacher) - wide(centre)) / teacher_temp, dim=-1)
    q, pairs = log_q.exp(), len(teacher) * (len(student) - 1)
    loss = -(q * (log_p.sum(0) - log_p[:len(teacher)])).sum(-1).mean(1).sum() / pairs
    entropy = -(q * log_q).sum(-1).mean()
    return {"loss": loss, "teacher_entropy": entropy, "student_entropy": -(log_p.exp() * log_p).sum(-1).mean().detach(),
            "kl": loss.detach() - entropy}


def drawn(dtype, views=4, teachers=2, batch=7, k=50):
    g = torch.Generator().manual_seed(0)
    student, teacher = (torch.rand(n, batch, k, generator=g).mul(2).sub(1).to(dtype) for n in (views, teachers))
    return student.requires_grad_(), teacher, torch.rand(k, generator=g).mul(0.2).to(wide(student).dtype), 0.1, 0.04


@pytest.mark.parametrize("chunk", [1, 3 * 4 * 50, 2 ** 22])   # one recording at a time, three, all
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_chunks_give_the_loss_and_the_gradient_of_the_whole_batch(monkeypatch, dtype, autocast, chunk):
    monkeypatch.setattr(dino, "LOGITS", chunk)
    found = []
    for loss in (whole_batch, dino_loss):
        args = drawn(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = loss(*args)
        (out["loss"] * 0.3).backward()
        assert args[0].grad.dtype == dtype and {value.dtype for value in out.values()} == {wide(args[0]).dtype}
        found.append((torch.stack(list(out.values())).detach().double(), args[0].grad.double()))
    bound = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 5e-3}[dtype]   # one rounding, of the scaled gradient
    (wanted, slope), (values, gradient) = found
    assert torch.allclose(values, wanted, rtol=min(bound, 1e-6), atol=0)
    assert (gradient - slope).norm() <= bound * slope.norm()


class Sizes(TorchDispatchMode):
    """Collects how many numbers each new tensor has."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [x for x in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(x, torch.Tensor)]
        given = {x.untyped_storage().data_ptr() for x in [*args, *(kwargs or {}).values()] if isinstance(x, torch.Tensor)}
        self.found += [x.numel() for x in made if x.untyped_storage().data_ptr() not in given]
        return out


def test_only_the_gradient_is_as_large_as_the_logits(monkeypatch):
    """Of all other tensors, none is larger than the logits of a chunk, here two recordings of seven; without a gradient, none at all."""
    monkeypatch.setattr(dino, "LOGITS", 2 * 4 * 50)
    for wanted in (True, False):
        args, kept = drawn(torch.float32), []
        args[0].requires_grad_(wanted)
        with Sizes() as sizes, torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()), lambda x: x):
            dino_loss(*args)
        large = [size for size in sizes.found if size > 2 * 4 * 50]
        assert large == kept == [4 * 7 * 50] * wanted and len(sizes.found) > 20


def test_uniform_start_is_ln_k():
    z = torch.zeros(6, 3, 1000)
    assert dino_loss(z, z[:2], torch.zeros(1000), 0.1, 0.04)["loss"].item() == pytest.approx(math.log(1000), rel=1e-5)


def test_centre_moves_by_one_minus_momentum():
    centre = updated_centre(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), 0.9)
    assert centre.tolist() == pytest.approx([0.9, 0.2])
