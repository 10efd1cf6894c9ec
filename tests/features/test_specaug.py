"""SpecAugment: where masks may fall, and what they hide."""
import numpy as np
import pytest
import torch

from sslspk.features import specaug
from sslspk.features.specaug import SpecAugmentConfig

CONFIG = SpecAugmentConfig(num_time_masks=2, max_time=7, num_freq_masks=1, max_freq=4)


def test_draws_stay_inside_and_reach_every_width():
    rng = np.random.default_rng(0)
    rows = np.concatenate([specaug.draw(rng, 20, 10, CONFIG) for _ in range(2000)])
    assert rows.dtype == np.int32 and rows.shape == (6000, 3)
    for axis, size, largest, share in ((0, 20, 7, 2 / 3), (1, 10, 4, 1 / 3)):
        some = rows[rows[:, 0] == axis]
        assert len(some) == 6000 * share
        assert some[:, 1].min() == 0 and (some[:, 1] + some[:, 2]).max() == size
        assert np.allclose(np.bincount(some[:, 2]) / len(some), 1 / (largest + 1), atol=0.03)


def test_masks_larger_than_the_sample_are_cut_to_it():
    rng = np.random.default_rng(0)
    rows = np.concatenate([specaug.draw(rng, 3, 2, CONFIG) for _ in range(50)])
    assert (rows[:, 1] + rows[:, 2] <= np.where(rows[:, 0] == 0, 3, 2)).all()


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_apply_against_a_loop(fill):
    rng = np.random.default_rng(1)
    x = rng.normal(3, 1, (5, 20, 10)).astype(np.float32)
    positions = np.stack([specaug.draw(rng, 20, 10, CONFIG) for _ in range(5)])
    found = specaug.apply(torch.from_numpy(x), torch.from_numpy(positions), fill).numpy()
    for i in range(5):
        expected = x[i].copy()
        value = x[i].mean() if fill == "mean" else 0.0
        for axis, start, width in positions[i]:
            if axis == 0:
                expected[start:start + width] = value
            else:
                expected[:, start:start + width] = value
        assert np.allclose(found[i], expected, atol=1e-5)


def test_a_rectangle_is_where_the_bands_cross():
    x, positions = torch.randn(1, 20, 10), torch.tensor([[[0, 4, 6], [1, 2, 3]]])
    expected = x.clone()
    expected[0, 4:10, 2:5] = 0
    assert torch.equal(specaug.apply(x, positions, "zero", "rectangle"), expected)


def test_a_share_of_the_crops_is_masked():
    """With chance 1 the draws are those of before there was a chance."""
    config, rng = CONFIG.model_copy(update={"prob": 0.2}), np.random.default_rng(0)
    masked = [specaug.draw(rng, 20, 10, config)[:, 2].any() for _ in range(4000)]
    assert np.mean(masked) == pytest.approx(0.2 * (1 - 1 / (8 * 8 * 5)), abs=0.02)


def test_no_masks_change_nothing():
    x = torch.randn(2, 5, 4)
    none = np.stack([specaug.draw(np.random.default_rng(0), 5, 4, SpecAugmentConfig(num_time_masks=0, num_freq_masks=0))] * 2)
    assert none.shape == (2, 0, 3)
    assert torch.equal(specaug.apply(x, torch.from_numpy(none)), x)


def test_drawer_turns_samples_into_frames():
    masks = specaug.drawer(CONFIG, bins=10, num_frames=lambda samples: samples // 160)
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    assert np.array_equal(masks(rng, 16000), specaug.draw(again, 100, 10, CONFIG))
