"""AAM-softmax against arccos written out."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.aam import aam_logits, aam_losses, class_cosines


def slow_logit(cosine, scale, margin):
    theta = math.acos(cosine)
    return scale * (math.cos(theta + margin) if theta + margin < math.pi else cosine - margin * math.sin(margin))


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5])
def test_logits_equal_arccos(margin):
    cosine = torch.tensor([[0.3, -0.5, 0.9], [-0.99, 0.1, 0.0]])
    labels = torch.tensor([2, 0])
    got = aam_logits(cosine, labels, 30.0, margin)
    for b in range(2):
        for c in range(3):
            value = cosine[b, c].item()
            want = slow_logit(value, 30.0, margin) if c == labels[b] else 30.0 * value
            assert got[b, c].item() == pytest.approx(want, rel=1e-4, abs=1e-3)


def test_losses():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    labels = [0, 1, 2, 1, 0]
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    want = []
    for b, true in enumerate(labels):
        logits = [slow_logit(c, 10.0, 0.2) if k == true else 10.0 * c for k, c in enumerate(cosine[b])]
        want.append(math.log(sum(math.exp(v) for v in logits)) - logits[true])
    got = class_cosines(*(torch.tensor(a, dtype=torch.float32) for a in (x, w)))
    np.testing.assert_allclose(got, cosine, atol=1e-6)
    np.testing.assert_allclose(aam_losses(got, torch.tensor(labels), 10.0, 0.2), want, rtol=1e-4)


def test_the_nearest_sub_centre_counts():
    """Two classes of two centres each: an embedding on the second centre of class 0 is at cosine 1 from class 0."""
    weight = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]])
    x = torch.tensor([[0.0, 5, 0], [3, 0, 4]])
    np.testing.assert_allclose(class_cosines(x, weight, centres=2), [[1, 0], [0.6, 0.8]], atol=1e-6)


def slow_rival(cosine, margin):
    theta = math.acos(cosine)
    return math.cos(theta - margin) if theta > margin else 1 + cosine - math.cos(margin)


@pytest.mark.parametrize("k", [1, 2, 9])
def test_the_hardest_other_classes_come_nearer(k):
    cosine = torch.tensor([[0.3, -0.5, 0.9, 0.1], [0.999, 0.1, 0.0, -0.7]])
    labels = torch.tensor([2, 1])
    got = aam_logits(cosine, labels, 10.0, 0.2, inter_margin=0.1, top_k=k)
    for b in range(2):
        others = [c for c in range(4) if c != labels[b]]
        hardest = sorted(others, key=lambda c: -cosine[b, c])[:k]
        for c in range(4):
            value = cosine[b, c].item()
            want = 10 * slow_rival(value, 0.1) if c in hardest else slow_logit(value, 10.0, 0.2 if c == labels[b] else 0.0)
            assert got[b, c].item() == pytest.approx(want, rel=1e-4, abs=1e-3)


def test_a_rival_logit_rises_with_its_cosine():
    cosine = torch.linspace(-0.99, 0.9999, 400)
    rivals = torch.stack([torch.zeros(400), cosine], 1)
    logits = aam_logits(rivals, torch.zeros(400, dtype=torch.int64), 1.0, 0.0, inter_margin=0.3, top_k=1)[:, 1]
    assert (logits.diff() > 0).all() and (logits >= cosine - 1e-6).all()
