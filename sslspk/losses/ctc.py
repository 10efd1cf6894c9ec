"""Connectionist temporal classification (Graves et al. 2006) with label priors, its best path and its alignment.

Letters: B utterances, T frames, K labels of which 0 is blank (here: silence), S labels of a transcript, none of them 0.
"""
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BLANK = 0


def occupancy(scores: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """How likely each label is at each frame given the transcript, (B, T, K), sums of 1, and the negative log likelihoods (B,).

    scores: (B, T, K), log of any positive numbers, so that priors may have been divided out. frames: (B,), those that count. targets:
    (B, S), lengths: (B,). A transcript that does not fit has occupancy 0 and likelihood infinity. From the gradient of torch's loss, which
    is exp(scores) less the occupancy.
    """
    scores = scores.detach().float().requires_grad_(True)
    with torch.enable_grad():
        nll = F.ctc_loss(scores.transpose(0, 1), targets, frames, lengths, BLANK, "none")
        (gradient,) = torch.autograd.grad(nll.masked_fill(nll.isinf(), 0).sum(), scores)
    there = (torch.arange(scores.shape[1], device=scores.device) < frames[:, None]) & ~nll.isinf()[:, None]
    found = (scores.detach().exp() - gradient).masked_fill(~there[..., None], 0)
    return found.clamp_min(0), nll.detach()


def weighted(log_probs: Tensor, weights: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor,
             power: float = 1.0) -> tuple[Tensor, Tensor]:
    """-1 / power log of the sum over all paths of the product of p(label | x)^power w, `weights` being log w, broadcast to (B, T, K).

    Plain CTC (power 1, no weights) learns peaks between which all is blank, from which no boundary can be told. Weights of prior(label)^-a
    let the labels last (Huang et al. 2024, arXiv 2406.02560, eq. 4). A power below 1 keeps many paths likely while little is known
    (deterministic annealing, Ueda & Nakano 1998). Returns the loss (B,) and the occupancy (B, T, K), of which its gradient is made.
    """
    share, nll = occupancy(power * log_probs + weights, frames, targets, lengths)
    surrogate = -(share * log_probs).sum((1, 2))   # d/d log p of the loss is -occupancy
    return surrogate + (nll.masked_fill(nll.isinf(), 0) / power - surrogate).detach(), share


def evenly(speech: Tensor, lengths: Tensor) -> Tensor:
    """Which part of a transcript each frame (B, T) has, int64 (B, T), where transcripts are cut evenly over the frames that are speech."""
    spoken = speech.cumsum(1)
    return (spoken - 1).clamp(min=0) * lengths[:, None] // spoken[:, -1:].clamp(min=1)


def expected(place: Tensor, targets: Tensor, lengths: Tensor, reach: Tensor, labels: int) -> Tensor:
    """bool (B, T, labels): the labels that a transcript has within `reach` (B,) places of `place` (B, T). Blank is none of them."""
    found = torch.zeros(*place.shape, labels, dtype=torch.bool, device=place.device)
    for offset in range(-int(reach.max()), int(reach.max()) + 1):
        there = place + offset
        near = (there >= 0) & (there < lengths[:, None]) & (abs(offset) <= reach[:, None])
        label = targets.gather(1, there.clamp(0, targets.shape[1] - 1)).masked_fill(~near, BLANK)
        found.scatter_(2, label[..., None], True)
    found[..., BLANK] = False
    return found


def viterbi(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The best alignment of a transcript (S,) with scores (T, K): labels int64 (T,), 0 where no label is.

    Two equal labels in a row have a blank between them. Raises ValueError where T is too short for the transcript.
    """
    frames, states = len(scores), 2 * len(target) + 1
    labels = np.zeros(states, np.int64)
    labels[1::2] = target
    skips = np.zeros(states, bool)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    best = np.full(states, -np.inf)
    best[:2] = scores[0, labels[:2]]
    moves = np.zeros((frames, states), np.int8)
    for t in range(1, frames):
        options = np.full((3, states), -np.inf)
        options[0], options[1, 1:] = best, best[:-1]
        options[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        moves[t] = options.argmax(0)
        best = options.max(0) + scores[t, labels]
    state = states - 1 if states == 1 or best[-1] >= best[-2] else states - 2
    if best[state] == -np.inf:
        raise ValueError(f"{len(target)} labels do not fit into {frames} frames")
    path = np.empty(frames, np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = labels[state]
        state -= int(moves[t, state])   # more states than an int8 holds
    return path


def greedy(scores: np.ndarray) -> np.ndarray:
    """The labels of the likeliest path of scores (T, K): repeated ones once, no blank."""
    path = scores.argmax(1)
    kept = path[np.flatnonzero(np.diff(path, prepend=-1))]
    return kept[kept != BLANK]


def errors(found: np.ndarray, truth: np.ndarray) -> int:
    """Substitutions, deletions and insertions that turn one sequence into the other, the fewest (Levenshtein 1966)."""
    row = np.arange(len(truth) + 1)
    steps = np.arange(len(truth) + 1)
    for i, label in enumerate(found, 1):
        best = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (truth != label))])
        row = np.minimum.accumulate(best - steps) + steps
    return int(row[-1])
