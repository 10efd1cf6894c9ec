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
    """What happens to each crop, as `draw` lays it out; of keywords that are not given nothing."""
    return torch.tensor([[*row.get("band", (0, 0)), row.get("clipped", 0), row.get("level", 0), row.get("left", 0),
                          *row.get("silent", (0, 0))] for row in rows], dtype=torch.float32)


def test_each_comes_as_often_and_reaches_as_far_as_it_says():
    rng = np.random.default_rng(0)
    drawn = np.stack([degrade.draw(rng, CONFIG) for _ in range(5000)])
    assert drawn.dtype == np.float32 and drawn.shape == (5000, 7)
    for low, high, prob in ((0, 1, 0.4), (5, 6, 0.2)):
        width = drawn[:, high] - drawn[:, low]
        assert (width > 0).mean() == pytest.approx(prob, abs=0.03) and 0.48 < width.max() <= 0.5 + 1e-6
        assert drawn[:, low].min() >= 0 and drawn[:, high].max() <= 1 + 1e-6
    assert (drawn[:, 2] > 0).mean() == pytest.approx(0.2, abs=0.03) and 0.38 < drawn[:, 2].max() <= 0.4
    assert (drawn[:, 3:5] == 0).all()
    assert np.array_equal(degrade.drawer(CONFIG)(np.random.default_rng(0)), degrade.draw(np.random.default_rng(0), CONFIG))


def test_nothing_leaves_the_samples_as_they_were():
    x = noise()
    assert torch.equal(degrade.apply(x, torch.from_numpy(np.stack([degrade.draw(None, CONFIG)] * 3))), x)


def test_a_band_of_one_row_is_removed():
    x = noise()
    y = degrade.apply(x, shares({"band": (0.25, 0.5)}, {}, {}))
    before, after = (torch.fft.rfft(z[0]).abs() for z in (x, y))
    assert torch.equal(y[1:], x[1:]) and after[250:500].max() < 1e-3
    torch.testing.assert_close(after[:250], before[:250], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after[500:], before[500:], rtol=1e-3, atol=1e-3)


def test_a_stretch_is_silenced_and_samples_are_clipped():
    x = noise()
    y = degrade.apply(x, shares({"silent": (0.1, 0.3)}, {"clipped": 0.2}, {}))
    assert (y[0, 200:600] == 0).all() and torch.equal(y[0, :200], x[0, :200]) and torch.equal(y[0, 600:], x[0, 600:])
    ordered = sorted(x[1].tolist())   # a tenth of the samples on each side
    assert torch.equal(y[1], x[1].clamp(ordered[200], ordered[1799])) and torch.equal(y[2], x[2])


def test_clipping_all_leaves_the_median():
    x = noise(1, 5)
    assert (degrade.apply(x, shares({"clipped": 1})) == x.median()).all()


def test_old_options_draw_in_the_order_that_old_runs_rely_on():
    """By hand: band, stretch, clipping; of each a coin, then its width, then its place."""
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(200):
        drawn, row = degrade.draw(first, CONFIG), []
        for prob, widest in ((0.4, 0.5), (0.2, 0.5)):
            width = second.uniform(0, widest) if second.random() < prob else 0.0
            start = second.uniform(0, 1 - width)
            row += [start, start + width]
        clipped = second.uniform(0, 0.4) if second.random() < 0.2 else 0.0
        np.testing.assert_array_equal(drawn, np.array([*row[:2], clipped, 0, 0, *row[2:]], np.float32))


def test_several_stretches_peaks_and_another_rate_come_as_often_as_they_say():
    config = DegradeConfig(band_prob=0, time_prob=0.5, time_share=0.1, time_count=3, clip_prob=0.4, clip_peaks=(0.1, 0.3, 0.5),
                           low_pass_prob=0.25)
    rng = np.random.default_rng(0)
    drawn = np.stack([degrade.draw(rng, config) for _ in range(4000)])
    assert drawn.shape == (4000, 11) and (drawn[:, 2] == 0).all() and (drawn[:, 1] == drawn[:, 0]).all()
    widths = drawn[:, 6::2] - drawn[:, 5::2]
    assert (widths.max(1) > 1e-6).mean() == pytest.approx(0.5, abs=0.03) and 0.09 < widths.max() <= 0.1 + 1e-6
    assert (np.ptp(widths[widths.max(1) > 1e-6], axis=1) > 0).mean() > 0.99, "each has a width of its own"
    levels, counts = np.unique(drawn[:, 3], return_counts=True)
    np.testing.assert_allclose(levels, [0, 0.1, 0.3, 0.5], rtol=1e-6)
    assert np.allclose(counts / 4000, [0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3], atol=0.03)
    assert set(drawn[:, 4]) == {0, 0.5} and (drawn[:, 4] > 0).mean() == pytest.approx(0.25, abs=0.03)


def test_what_is_beyond_a_share_of_the_peak_is_cut_to_it():
    x = noise()
    y = degrade.apply(x, shares({"level": 0.3}, {}, {"level": 1}))
    peak = 0.3 * x[0].abs().max()
    assert torch.equal(y[0], x[0].clamp(-peak, peak)) and torch.equal(y[1:], x[1:])


def test_the_spectrum_of_half_the_rate_is_left():
    x = noise()
    y = degrade.apply(x, shares({"left": 0.5}, {}, {}))
    before, after = (torch.fft.rfft(z[0]).abs() for z in (x, y))
    assert torch.equal(y[1:], x[1:]) and after[500:].max() < 1e-3 < before[500:].min()
    torch.testing.assert_close(after[:500], before[:500], rtol=1e-3, atol=1e-3)


def test_every_stretch_is_silenced():
    x = noise(1)
    y = degrade.apply(x, torch.tensor([[0, 0, 0, 0, 0, 0.1, 0.2, 0.7, 0.75]]))
    silent = torch.zeros(2000, dtype=torch.bool)
    silent[200:400] = silent[1400:1500] = True
    assert (y[0, silent] == 0).all() and torch.equal(y[0, ~silent], x[0, ~silent])


TREE = {"encoder": {"name": "cpc"}, "method": {"name": "cpc"}}


def test_it_counts_in_the_digits_of_a_configuration_where_it_is_used():
    plain, other = (check(SystemConfig, {**TREE, "augment": augment}, "the test") for augment in ({}, {"degrade": {}}))
    more = check(SystemConfig, {**TREE, "augment": {"degrade": {"clip_prob": 0.5}}}, "the test")
    assert len({config_hash(plain), config_hash(other), config_hash(more)}) == 3


def test_it_needs_waveforms():
    tree = {"encoder": {"name": "tdnn"}, "method": {"name": "dino"}, "data": {"input": "feats"}, "augment": {"degrade": {}}}
    with pytest.raises(InputError, match=r"augment.degrade changes waveforms, but data.input is feats"):
        check(SystemConfig, tree, "the test")
