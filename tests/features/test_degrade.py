"""Degraded waveforms: what is drawn how often, and what is removed, against the same by hand."""
import numpy as np
import pytest
import torch

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.features import degrade
from sslspk.features.config_degrade import DegradeConfig
from sslspk.train.config import SystemConfig, config_hash

CONFIG = DegradeConfig()


def noise(rows=3, samples=2000):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


def shares(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_each_comes_as_often_and_reaches_as_far_as_it_says():
    rng = np.random.default_rng(0)
    drawn = np.stack([degrade.draw(rng, CONFIG) for _ in range(5000)])
    assert drawn.dtype == np.float32 and drawn.shape == (5000, 5)
    for low, high, prob in ((0, 1, 0.4), (2, 3, 0.2)):
        width = drawn[:, high] - drawn[:, low]
        assert (width > 0).mean() == pytest.approx(prob, abs=0.03) and 0.48 < width.max() <= 0.5 + 1e-6
        assert drawn[:, low].min() >= 0 and drawn[:, high].max() <= 1 + 1e-6
    assert (drawn[:, 4] > 0).mean() == pytest.approx(0.2, abs=0.03) and 0.38 < drawn[:, 4].max() <= 0.4
    assert np.array_equal(degrade.drawer(CONFIG)(np.random.default_rng(0)), degrade.draw(np.random.default_rng(0), CONFIG))


def test_nothing_leaves_the_samples_as_they_were():
    x = noise()
    assert torch.equal(degrade.apply(x, torch.from_numpy(np.stack([degrade.NOTHING] * 3))), x)


def test_a_band_of_one_row_is_removed():
    x = noise()
    y = degrade.apply(x, shares([0.25, 0.5, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]))
    before, after = (torch.fft.rfft(z[0]).abs() for z in (x, y))
    assert torch.equal(y[1:], x[1:]) and after[250:500].max() < 1e-3
    torch.testing.assert_close(after[:250], before[:250], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after[500:], before[500:], rtol=1e-3, atol=1e-3)


def test_a_stretch_is_silenced_and_samples_are_clipped():
    x = noise()
    y = degrade.apply(x, shares([0, 0, 0.1, 0.3, 0], [0, 0, 0, 0, 0.2], [0, 0, 0, 0, 0]))
    assert (y[0, 200:600] == 0).all() and torch.equal(y[0, :200], x[0, :200]) and torch.equal(y[0, 600:], x[0, 600:])
    ordered = sorted(x[1].tolist())   # a tenth of the samples on each side
    assert torch.equal(y[1], x[1].clamp(ordered[200], ordered[1799])) and torch.equal(y[2], x[2])


def test_clipping_all_leaves_the_median():
    x = noise(1, 5)
    assert (degrade.apply(x, shares([0, 0, 0, 0, 1])) == x.median()).all()


TREE = {"encoder": {"name": "cpc"}, "method": {"name": "cpc"}}


def test_it_counts_in_the_digits_of_a_configuration_where_it_is_used():
    plain, other = (check(SystemConfig, {**TREE, "augment": augment}, "the test") for augment in ({}, {"degrade": {}}))
    more = check(SystemConfig, {**TREE, "augment": {"degrade": {"clip_prob": 0.5}}}, "the test")
    assert len({config_hash(plain), config_hash(other), config_hash(more)}) == 3


def test_it_needs_waveforms():
    tree = {"encoder": {"name": "tdnn"}, "method": {"name": "dino"}, "data": {"road": "feats"}, "augment": {"degrade": {}}}
    with pytest.raises(InputError, match=r"augment.degrade changes waveforms, but data.road is feats"):
        check(SystemConfig, tree, "the test")
