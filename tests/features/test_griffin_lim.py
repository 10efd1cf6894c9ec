"""Waveforms from log-mel: their own log-mel is about what was asked for, and a tone keeps its pitch."""
import numpy as np
import pytest
import torch

from sslspk.errors import InputError
from sslspk.features.config import FULL_SCALE, FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.features.griffin_lim import GriffinLim

RATE = 16000


def tones(seconds=0.8):
    """A buzz of 150 Hz whose loudness goes up and down, int16 scale."""
    t = torch.arange(int(seconds * RATE)) / RATE
    buzz = sum(torch.sin(2 * torch.pi * 150 * k * t) / k for k in range(1, 30))
    return 3000 * buzz * (1 + 0.5 * torch.sin(2 * torch.pi * 3 * t))


@pytest.mark.parametrize("options", [
    {"frame_length": 64, "frame_shift": 16, "window_type": "hanning", "preemphasis_coefficient": 0.0},
    {"snip_edges": False, "num_mel_bins": 60}])
def test_the_waveform_has_the_frames_that_were_asked_for(options):
    features = FeatureOptions(**options)
    extractor = Extractor(features)
    wanted = extractor(tones()[None])[0]
    wave = GriffinLim(features)(wanted)
    found = extractor(FULL_SCALE * wave[None])[0]
    assert found.shape == wanted.shape and wave.abs().max() <= 1
    loud = wanted > wanted.max() - 12
    apart = (found - wanted)[2:-2][loud[2:-2]].abs().mean()
    random = extractor(torch.randn(1, len(wave), generator=torch.Generator().manual_seed(0)) * 1000)[0]
    assert apart < 0.7 and apart < 0.3 * (random - wanted)[2:-2][loud[2:-2]].abs().mean()
    spectrum = np.abs(np.fft.rfft(wave.numpy()))
    peak = np.argmax(spectrum[:int(250 * len(wave) / RATE)]) * RATE / len(wave)
    assert abs(peak - 150) < 20


def test_iterations_bring_the_phases_together():
    features = FeatureOptions(frame_length=64, frame_shift=16, window_type="hanning", preemphasis_coefficient=0.0)
    extractor, wanted = Extractor(features), None
    wanted = extractor(tones()[None])[0]
    apart = []
    for iterations in (0, 10, 40):
        vocoder = GriffinLim(features, iterations)
        wave, magnitude = vocoder(wanted), vocoder.spectrum(wanted)
        found = torch.fft.rfft((FULL_SCALE * wave).unfold(0, 1024, 256) * vocoder.window, vocoder.fft_length).abs()
        apart.append(float((found - magnitude).norm() / magnitude.norm()))
    assert apart[0] > apart[1] > apart[2] and torch.equal(wave, GriffinLim(features, 40)(wanted))


def test_other_features_are_refused():
    for options, said in (({"feature_type": "mfcc"}, "log-mel alone"), ({"frame_shift": 20.0}, "overlap by less than half")):
        with pytest.raises(InputError, match=said):
            GriffinLim(FeatureOptions(**options))
