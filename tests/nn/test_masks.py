"""Span masks: counts, places and cuts against what is stated of them, and how often each step is hidden."""
import math

import pytest
import torch

from sslspk.errors import InputError
from sslspk.nn.masks import as_mask, span_masks


def draw(rows=40, steps=100, prob=0.65, span=10, seed=0):
    return span_masks(rows, steps, prob, span, torch.Generator().manual_seed(seed))


def runs(row, steps):
    """Lengths of the stretches of hidden steps."""
    hidden, found, length = set(row.tolist()), [], 0
    for step in range(steps + 1):
        if step in hidden:
            length += 1
        elif length:
            found.append(length)
            length = 0
    return found


@pytest.mark.parametrize(("steps", "prob", "span"), [(100, 0.65, 10), (49, 0.65, 10), (12, 0.65, 10), (11, 0.65, 10), (50, 0.8, 4),
                                                     (20, 0.9, 1), (30, 0.01, 7), (3, 1.0, 2)])
def test_counts(steps, prob, span):
    """Sorted, within the utterance, none twice, equally many in each row; with all spans apart num * span of them, never more."""
    num = []
    for seed in range(200):
        places = draw(20, steps, prob, span, seed)
        assert places.dtype == torch.int64 and (places[:, 1:] > places[:, :-1]).all()
        assert places.min() >= 0 and places.max() < steps
        num.append(places.shape[1])
    most = max(2, math.floor(prob * steps / span) + 1)
    assert span + 1 <= min(num) and max(num) <= min(most * span, steps)


def test_the_number_of_spans_is_rounded_at_random():
    """Spans of one step do not overlap: K is the number of spans, int(.65 * 30 + u) = 19 or 20, evenly."""
    count = [draw(3, 30, 0.65, 1, seed).shape[1] for seed in range(400)]
    assert set(count) == {19, 20} and 150 < count.count(20) < 250


def test_one_row_is_whole_spans():
    """A single row is never cut: all stretches have the length of a span or, where spans overlap, more."""
    lengths = [length for seed in range(100) for length in runs(draw(1, 60, 0.5, 5, seed)[0], 60)]
    assert min(lengths) == 5 and max(lengths) > 5
    assert min(length for seed in range(30) for row in draw(9, 60, 0.5, 5, seed) for length in runs(row, 60)) < 5, "the others are"


def test_starts_are_uniform_and_without_replacement():
    """Two spans of a row that has room for a few: every pair of starts is drawn equally often, none twice."""
    seen = {}
    for seed in range(3000):
        hidden = tuple(draw(1, 7, 0.01, 4, seed)[0].tolist())
        seen[hidden] = seen.get(hidden, 0) + 1
    expected = {}   # pairs of the starts 0 to 3
    for a in range(4):
        for b in range(a):
            hidden = tuple(sorted({*range(a, a + 4), *range(b, b + 4)}))
            expected[hidden] = expected.get(hidden, 0) + 500
    assert seen.keys() == expected.keys() and all(abs(seen[key] - expected[key]) < 100 for key in seen)


def test_what_is_shown_again_is_drawn_at_random():
    """Of rows with more hidden steps than the least, each hidden step is kept equally often, not the first ones."""
    kept = torch.stack([as_mask(draw(30, 40, 0.5, 4, seed), 40).float().mean(0) for seed in range(200)]).mean(0)
    inner = kept[4:-4]
    assert inner.max() - inner.min() < 0.06 and abs(inner.mean() - kept[8:-8].mean()) < 0.01


def test_the_generator_decides():
    assert torch.equal(draw(seed=4), draw(seed=4)) and not torch.equal(draw(seed=4), draw(seed=5))


def test_as_mask():
    mask = as_mask(torch.tensor([[0, 2], [1, 2]]), 4)
    assert mask.tolist() == [[True, False, True, False], [False, True, True, False]]


@pytest.mark.parametrize("steps", [0, 5, 10])
def test_a_mask_longer_than_the_utterance_is_one_sentence(steps):
    with pytest.raises(InputError, match=f"masks of 10 steps need 11, and a crop has {steps}; leave short recordings out") as refused:
        draw(2, steps)
    assert len(str(refused.value)) <= 160
