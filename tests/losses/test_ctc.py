"""CTC: occupancies and alignments against all paths of small cases, alignments against torchaudio's, edit distances against recursion."""
import functools
import itertools

import numpy as np
import pytest
import torch
import torchaudio

from sslspk.losses import ctc


def collapsed(path):
    return tuple(label for label, _ in itertools.groupby(path) if label)


def paths(frames, labels, target):
    return [path for path in itertools.product(range(labels), repeat=frames) if collapsed(path) == target]


@pytest.mark.parametrize("target", [(1, 2), (2, 2), (1,), (2, 1, 2)])
def test_occupancy_and_gradient_are_those_of_all_paths(target):
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_(True)
    prior = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log()
    log_probs = logits.log_softmax(-1)
    scores = 0.7 * log_probs - 0.4 * prior
    total = torch.logsumexp(torch.stack([sum(scores[0, t, label] for t, label in enumerate(path)) for path in paths(5, 3, target)]), 0)
    (want,) = torch.autograd.grad(-total / 0.7, logits, retain_graph=True)
    length = torch.tensor([len(target)])
    loss, share = ctc.weighted(log_probs, -0.4 * prior, torch.tensor([5]), torch.tensor([target]), length, 0.7)
    (got,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(loss[0], -total / 0.7, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(share.sum(-1), torch.ones(1, 5), rtol=1e-5, atol=1e-5)


def test_padded_frames_and_transcripts_that_do_not_fit_have_no_part():
    log_probs = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(2)).log_softmax(-1).requires_grad_(True)
    targets, lengths = torch.tensor([[1, 2, 0], [3, 3, 3]]), torch.tensor([2, 3])   # the second one needs five frames
    loss, share = ctc.weighted(log_probs, torch.zeros(4), torch.tensor([4, 4]), targets, lengths)
    loss.sum().backward()
    assert (share[0, :4].sum(-1) - 1).abs().max() < 1e-5 and not share[0, 4:].any() and not share[1].any()
    assert log_probs.grad[0, :4].any() and not log_probs.grad[0, 4:].any() and not log_probs.grad[1].any() and loss[1] == 0


@pytest.mark.parametrize("target", [(1, 2), (2, 2), (), (1, 2, 1)])
def test_the_alignment_is_the_best_of_all_paths(target):
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=(5, 3))
        want = max(paths(5, 3, target), key=lambda path: sum(scores[t, label] for t, label in enumerate(path)))
        assert ctc.viterbi(scores, np.array(target, int)).tolist() == list(want)


def test_the_alignment_is_torchaudios():
    rng = np.random.default_rng(0)
    for frames, count in ((40, 12), (90, 30), (25, 12), (300, 100)):
        scores = torch.from_numpy(rng.normal(size=(frames, 8)).astype(np.float32)).log_softmax(-1)
        target = rng.integers(1, 8, count)
        target[3] = target[2]
        want, _ = torchaudio.functional.forced_align(scores[None], torch.from_numpy(target)[None])
        assert ctc.viterbi(scores.numpy(), target).tolist() == want[0].tolist()
    with pytest.raises(ValueError, match="3 labels do not fit into 4 frames"):
        ctc.viterbi(np.zeros((4, 3)), np.array([1, 1, 1]))


def test_a_flat_start_cuts_transcripts_evenly():
    speech = torch.tensor([[0, 1, 1, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0, 0], [0] * 7], dtype=torch.bool)
    place = ctc.evenly(speech, torch.tensor([2, 1, 2]))
    assert place.tolist() == [[0, 0, 0, 0, 1, 1, 1], [0] * 7, [0] * 7]
    near = ctc.expected(torch.tensor([[0, 1, 2, 3]]), torch.tensor([[2, 3, 1, 2, 0]]), torch.tensor([4]), torch.tensor([1]), 4)
    assert near.int().tolist() == [[[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]]]


def test_greedy_and_errors():
    path = [0, 1, 1, 0, 1, 2, 2, 0]
    assert ctc.greedy(np.eye(3)[path]).tolist() == [1, 1, 2]

    @functools.cache
    def distance(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = (rng.integers(1, 4, rng.integers(0, 7)) for _ in range(2))
        assert ctc.errors(a, b) == distance(tuple(a.tolist()), tuple(b.tolist()))
