"""What workers predict, each against numpy from its definition, one frame at a time; where frames lie; deltas against Kaldi's."""
import itertools
import math

import numpy as np
import pytest
import torch

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.features import targets
from sslspk.features.config import FeatureOptions
from sslspk.features.config_targets import TargetConfig
from sslspk.features.fbank import Extractor
from sslspk.features.targets import Target
from sslspk.ivector import frames as ivector_frames

RATE, HOP, STEPS = 16000, 160, 30


def waves(rows=2, samples=HOP * STEPS, seed=0):
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


def frame(wave, step, size):
    """The samples around the middle of a step, one at a time; beyond the ends the waveform plays backwards."""
    begin, length = step * HOP + HOP // 2 - size // 2, len(wave)
    place = [n % (2 * length) for n in range(begin, begin + size)]
    return np.array([float(wave[min(n, 2 * length - 1 - n)]) for n in place])


@pytest.mark.parametrize(("options", "size", "length"), [
    ({"name": "lps"}, 400, 2048), ({"name": "lps_long"}, 512, 2048), ({"name": "lps", "bins": 257}, 400, 512)])
def test_log_power_spectra(options, size, length):
    found = Target(TargetConfig(**options), RATE, HOP)(waves())
    assert found.shape == (2, STEPS, length // 2 + 1) and found.dtype == torch.float32
    for step in (0, 13, STEPS - 1):
        spectrum = np.abs(np.fft.rfft(frame(waves()[1], step, size) * np.hanning(size), length)) ** 2
        np.testing.assert_allclose(found[1, step], np.log(spectrum + 1e-10), rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize(("name", "kind", "window", "bins"), [
    ("fbank", "fbank", 25, 40), ("fbank_long", "fbank", 64, 40), ("mfcc", "mfcc", 25, 20), ("mfcc_long", "mfcc", 128, 13)])
def test_kaldi_features_as_they_are_extracted(name, kind, window, bins):
    found = Target(TargetConfig(name=name, bins=bins), RATE, HOP)(waves())
    options = FeatureOptions(feature_type=kind, frame_length=float(window), snip_edges=False, num_mel_bins=40, num_ceps=min(bins, 40))
    assert torch.equal(found, Extractor(options)(waves() * 32768)) and found.shape == (2, STEPS, bins)


def impulse_response(centre, seconds=0.25):
    t = np.arange(round(seconds * RATE)) / RATE
    bandwidth = 1.019 * 24.7 * (4.37 * centre / 1000 + 1)
    return t ** 3 * np.exp(-2 * np.pi * bandwidth * t) * np.cos(2 * np.pi * centre * t)


def test_gammatone_filters_are_those_of_the_impulse_responses():
    """Above 200 Hz, where the image at the negative centre is far away."""
    bands = targets.gammatone(12, 4096, RATE).numpy()
    centres = bands.argmax(0) * RATE / 4096
    assert (np.diff(centres) > 0).all() and abs(centres[0] - 50) < 4 and 7000 < centres[-1] < 8000
    for centre, response in zip(centres, bands.T, strict=True):
        assert response.max() == pytest.approx(1, abs=0.05)
        if 200 < centre < 6000:
            slow = np.abs(np.fft.rfft(impulse_response(centre), 4096)) ** 2
            np.testing.assert_allclose(response, slow / slow.max(), atol=0.06)


@pytest.mark.parametrize(("name", "size", "length"), [("gtn", 400, 2048), ("gtn_long", 2048, 2048)])
def test_gammatone_energies(name, size, length):
    found = Target(TargetConfig(name=name, bins=9), RATE, HOP)(waves())
    bands = targets.gammatone(9, length, RATE).numpy()
    for step in (0, 13, STEPS - 1):
        spectrum = np.abs(np.fft.rfft(frame(waves()[1], step, size) * np.hanning(size), length)) ** 2
        np.testing.assert_allclose(found[1, step], np.log(spectrum @ bands + 1e-10), rtol=1e-3, atol=1e-3)


def test_a_tone_is_loudest_in_the_filter_around_it():
    target = Target(TargetConfig(name="gtn"), RATE, HOP)
    centres = target.bands.argmax(0) * RATE / target.length
    for band in (5, 20, 35):
        tone = torch.sin(2 * math.pi * float(centres[band]) / RATE * torch.arange(HOP * STEPS))[None]
        assert (target(tone)[0, 3:-3].argmax(1) == band).all()


def test_prosody_of_a_voice_and_a_pause():
    time = torch.arange(8000) / RATE
    wave = torch.cat([0.2 * torch.sin(2 * math.pi * 200 * time), torch.zeros(8000)])[None]
    pitch, voiced, energy, crossings = Target(TargetConfig(name="prosody"), RATE, HOP)(wave)[0].T
    assert torch.allclose(pitch[3:44].exp(), torch.tensor(200.0), rtol=0.01) and voiced[3:44].all() and not voiced[53:].any()
    assert torch.allclose(energy[3:44], torch.tensor(math.log(0.02)), atol=1e-3) and (energy[53:] == math.log(1e-10)).all()
    assert torch.allclose(crossings[3:44], torch.tensor(2 * 200 / RATE), atol=3e-3) and (crossings[53:] == 0).all()


def test_energy_and_crossings_equal_a_loop():
    found = Target(TargetConfig(name="prosody"), RATE, HOP)(waves())
    for step in (0, 11, STEPS - 1):
        x = frame(waves()[0], step, 400)
        assert float(found[0, step, 2]) == pytest.approx(math.log(sum(x ** 2) / 400 + 1e-10), abs=1e-4)
        signs = [a >= 0 for a in x]
        assert float(found[0, step, 3]) == pytest.approx(sum(a != b for a, b in itertools.pairwise(signs)) / 399, abs=1e-6)


def test_deltas_are_those_of_add_deltas():
    x = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    for row, out in zip(x, targets.deltas(x), strict=True):
        np.testing.assert_allclose(out, ivector_frames.deltas(row.numpy(), 2, 2), rtol=1e-4, atol=1e-5)
    assert Target(TargetConfig(name="mfcc", bins=13, deltas=True), RATE, HOP)(waves()).shape == (2, STEPS, 39)


@pytest.mark.parametrize("name", ["lps", "lps_long", "fbank", "fbank_long", "gtn", "gtn_long", "mfcc", "mfcc_long", "prosody"])
def test_every_target_sees_a_click_where_it_is(name):
    """Only frames whose window holds it differ from silence; a row knows nothing of the others; no step is left out."""
    target, wave = Target(TargetConfig(name=name), RATE, HOP), torch.zeros(2, HOP * STEPS + 37)
    silent = target(wave)
    wave[0, 12 * HOP + HOP // 2] = 1.0
    found = target(wave)
    assert found.shape[1] == STEPS and torch.equal(found[1], silent[1]) and found.isfinite().all()
    change = (found[0] - silent[0])[:, 2:].abs().sum(1)   # of prosody the energy and the crossings
    reach = target.size // (2 * HOP)
    assert change[12 - reach:12 + reach + 1].min() > 0 and change[:12 - reach - 1].max() == 0 == change[12 + reach + 2:].max()


@pytest.mark.parametrize(("options", "said"), [
    ({"name": "lps", "bins": 400}, "2\\^n \\+ 1 bins, not 400; take 257"), ({"name": "prosody", "bins": 5}, "prosody has 4 features"),
    ({"name": "mfcc", "bins": 41}, "40 mel bins give 40 cepstra"), ({"name": "plp"}, "name"), ({"name": "lps", "window": 0}, "window")])
def test_impossible_targets_are_refused(options, said):
    with pytest.raises(InputError, match=said) as refused:
        check(TargetConfig, options, "the test")
    assert len(str(refused.value)) <= 160


@pytest.mark.parametrize("options", [{"name": "lps", "bins": 257, "window": 64.0}, {"name": "fbank", "bins": 400}])
def test_windows_and_bins_that_no_spectrum_has_are_refused(options):
    with pytest.raises(InputError, match="bins") as refused:
        Target(TargetConfig(**options), RATE, HOP)
    assert len(str(refused.value)) <= 160
