"""The number of clusters by silhouettes beyond chance: planted clusters, speakers of few keys, points without structure."""
import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.metrics import verification
from sslspk.nn.count import candidates, count_clusters, silhouette

GOLDEN = Path(__file__).resolve().parent.parent / "golden/kaldi_backend.npz"


def count(points, **options):
    return count_clusters(points, torch.arange(len(points)), **options)


def keys_of(speakers, each, noise, seed, dim=64, equal=False):
    """Unit vectors of `speakers` speakers, `each` of each on average, and who speaks; noise is relative to the spread of speakers."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(speakers, dim, generator=generator)
    speaker = torch.arange(speakers).repeat(each) if equal else torch.randint(speakers, (speakers * each,), generator=generator)
    return F.normalize(centres[speaker] + noise * torch.randn(len(speaker), dim, generator=generator), dim=1), speaker


@functools.cache
def noise_for(eer):
    """The noise with which two keys are told apart with this EER, found by bisection."""
    low, high = 0.1, 8.0
    for _ in range(10):
        middle = math.sqrt(low * high)
        x, speaker = keys_of(150, 6, middle, 99)
        row, column = torch.triu_indices(len(x), len(x), 1)
        found = 100 * verification.eer(verification.det_curve((x @ x.T)[row, column].numpy(), (speaker[row] == speaker[column]).numpy()))
        low, high = (middle, high) if found < eer else (low, middle)
    return middle


@pytest.mark.parametrize("k", [2, 5, 12, 30])
def test_planted_clusters_are_counted(k):
    found = count(keys_of(k, 15, 1.0, 1, equal=True)[0], maximum=100)
    assert found.credible and k / 1.5 <= found.clusters <= 1.5 * k, found


@pytest.mark.parametrize("eer, each", [(3, 2), (3, 8), (5, 3), (10, 6)])
def test_speakers_of_few_keys_are_counted(eer, each):
    x, speaker = keys_of(40, each, noise_for(eer), each)
    found, true = count(x), len(speaker.unique())
    assert found.credible and true / 2 <= found.clusters <= 2 * true, (found, true)


@pytest.mark.parametrize("each", [2, 6])
def test_speakers_of_golden_embeddings_are_counted(each):
    """100 speakers, 15 to 20 % EER by cosine; of two keys each the number is right, and not yet sure."""
    with np.load(GOLDEN) as held:
        x, speaker = torch.from_numpy(held["train"]).float(), held["speaker"]
    rows = np.random.default_rng(0).choice(1200, 100 * each, replace=False)
    found, true = count(x[rows]), len(np.unique(speaker[rows]))
    assert found.credible >= (each > 2) and true / 2.5 <= found.clusters <= 2.5 * true, (found, true)


@pytest.mark.parametrize("dim, decay, mean", [(32, 0, 0), (64, 1, 0.5), (128, 0.5, 1)])
def test_points_without_structure_show_no_number(dim, decay, mean):
    for seed in range(2):
        scale = torch.arange(1.0, dim + 1) ** (-decay / 2)
        x = (torch.randn(200, dim, generator=torch.Generator().manual_seed(seed)) + mean) * scale
        assert not count(x, seed=seed).credible


def test_keys_of_which_no_two_share_a_speaker_show_no_number():
    assert not count(keys_of(150, 1, 1.0, 0, equal=True)[0]).credible


def test_length_and_order_hardly_matter():
    x, _ = keys_of(20, 8, 1.0, 1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    scaled = x[order] * torch.linspace(0.1, 9, len(x))[:, None]
    found, other = count_clusters(scaled, order), count(x)
    assert found.clusters == other.clusters and found.gain == pytest.approx(other.gain, abs=1e-3)


def test_bounds_hold():
    x, _ = keys_of(12, 5, 0.5, 2)
    assert count(x, minimum=9, maximum=9).clusters == 9
    assert count(x, maximum=8).clusters <= 8 and count(x, minimum=20).clusters >= 20
    assert count(x[:9], minimum=7) == (7, 0.0, False)


def test_tried_numbers_are_in_equal_ratios():
    assert candidates(2, 32) == [2, 3, 4, 6, 8, 11, 16, 23, 32]
    assert candidates(5, 5) == [5] and candidates(5, 6) == [5, 6]


@pytest.mark.parametrize("k", [2, 7, 40])
def test_silhouette_is_scikit_learns(k):
    x = F.normalize(torch.randn(60, 5, generator=torch.Generator().manual_seed(k)), dim=1)
    assignment = torch.randint(k, (60,), generator=torch.Generator().manual_seed(0))
    assert silhouette(x, assignment, k) == pytest.approx(silhouette_score(x, assignment, metric="cosine"), abs=1e-5)
    assert silhouette(x, assignment, k + 5) == pytest.approx(silhouette(x, assignment, k), abs=1e-6)   # empty clusters do not count


def test_copies_of_one_point_show_no_number():
    assert not count(torch.tensor([[0.6, 0.8]]).expand(50, 2)).credible


@pytest.mark.parametrize("options", [{"minimum": 1}, {"minimum": 3, "maximum": 2}, {"maximum": 0}, {"references": 0}])
def test_impossible_questions_are_refused(options):
    with pytest.raises(InputError, match="minimum"):
        count(torch.ones(9, 2), **options)


def test_what_is_not_finite_is_refused():
    with pytest.raises(InputError, match="not finite"):
        count(torch.tensor([[1.0, 0.0]] * 8 + [[math.nan, 0.0]]))
