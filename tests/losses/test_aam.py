"""AAM-softmax against arccos written out."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.aam import aam_logits, aam_loss


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


def test_loss_and_accuracy():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    labels = [0, 1, 2, 1, 0]
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    want = 0.0
    for b, true in enumerate(labels):
        logits = [slow_logit(c, 10.0, 0.2) if k == true else 10.0 * c for k, c in enumerate(cosine[b])]
        want += (math.log(sum(math.exp(v) for v in logits)) - logits[true]) / 5
    loss, accuracy = aam_loss(*(torch.tensor(a, dtype=torch.float32) for a in (x, w)), torch.tensor(labels), 10.0, 0.2)
    assert loss.item() == pytest.approx(want, rel=1e-4)
    assert accuracy.item() == pytest.approx(np.mean(cosine.argmax(1) == labels))
