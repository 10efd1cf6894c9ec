"""Features in decibels: as speechbrain computes them, and as torch's own Fourier transform of windows gives them."""
import numpy as np
import pytest
import torch
from foreign_weights import GOLDEN, samples

from sslspk.errors import InputError
from sslspk.features import decibels
from sslspk.features.config import FeatureOptions
from sslspk.features.fbank import CPU_BLOCK, Extractor


def extract(wave: np.ndarray, **options) -> torch.Tensor:
    return Extractor(FeatureOptions(feature_type="fbank_db", low_freq=0, **options))(torch.from_numpy(wave)[None])[0]


def test_they_are_those_of_speechbrain():
    with np.load(GOLDEN) as file:
        expected = torch.from_numpy(file["fbank"])
    found = extract(samples(4000), num_mel_bins=20)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
    assert (found[-1] == found.max() - decibels.RANGE).all(), "what is silent is as far below the loudest as it may be"


@pytest.mark.parametrize("count", [1, 159, 160, 399, 4000, 160 * (CPU_BLOCK + 3)])
def test_slowly(count):
    """One window at a time; more frames than are computed at once."""
    wave, options = samples(count), FeatureOptions(feature_type="fbank_db", low_freq=0, num_mel_bins=12)
    padded = np.pad(wave / 32768, 200)
    window, bank = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400), decibels.bank(options, 400)
    rows = [np.abs(np.fft.rfft(padded[start:start + 400] * window)) ** 2 @ bank for start in range(0, count + 1, 160)]
    expected = 10 * np.log10(np.maximum(rows, 1e-10))
    expected = np.maximum(expected, expected.max() - 80)
    found = extract(wave, num_mel_bins=12)
    assert len(found) == Extractor(options).num_frames(count) == 1 + count // 160
    np.testing.assert_allclose(found.numpy(), expected, atol=5e-3)


def test_bins_are_triangles():
    """The centres are evenly spaced on the mel scale; a bin reaches as far up as it does down."""
    options = FeatureOptions(feature_type="fbank_db", low_freq=0, num_mel_bins=5)
    bank, lines = decibels.bank(options, 400), np.linspace(0, 8000, 201)
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 7) / 2595) - 1)
    for k in range(5):
        width = centres[k + 1] - centres[k]
        np.testing.assert_allclose(bank[:, k], np.interp(lines, centres[k + 1] + np.array([-width, 0, width]), [0, 1, 0], 0, 0), atol=1e-9)


def test_a_recording_does_not_depend_on_its_batch_mates():
    extractor = Extractor(FeatureOptions(feature_type="fbank_db", low_freq=0))
    both = torch.stack([torch.from_numpy(samples(3000)), torch.full((3000,), 30000, dtype=torch.int16)])
    torch.testing.assert_close(extractor(both)[:1], extractor(both[:1]), rtol=0, atol=1e-3)


def test_no_sample_has_no_frame():
    assert extract(np.zeros(0, np.int16)).shape == (0, 80)


def test_energy_is_not_for_them():
    from sslspk.config import check
    with pytest.raises(InputError, match="use_energy is not for feature_type fbank_db"):
        check(FeatureOptions, {"feature_type": "fbank_db", "use_energy": True}, "test")
