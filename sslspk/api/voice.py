"""Voice activity detection, as recipes use it to remove silence from the training audio (`vad: true`).

The options are those of the recipes (conf/vad.yaml, and conf/mfcc.yaml for the energy), a test compares them.
"""
import numpy as np
import torch

from sslspk.features.config import FeatureOptions, VadOptions
from sslspk.features.fbank import Extractor
from sslspk.features.vad import compute_vad
from sslspk.io import audio

OPTIONS = VadOptions(vad_energy_threshold=5.5, vad_energy_mean_scale=0.5, vad_proportion_threshold=0.12, vad_frames_context=2)


class Voice:
    """Voice activity of samples at `rate` Hz."""

    def __init__(self, rate: float):
        self.rate = int(rate)
        # The energy is that of the frames, whatever the mel bank: a small one is quickest.
        self._energy = Extractor(FeatureOptions(sample_frequency=rate, snip_edges=False, use_energy=True, num_mel_bins=3))

    def samples(self, samples: np.ndarray) -> np.ndarray:
        """int16 (S,) -> bool (S,): those with voice."""
        marks = compute_vad(self._energy(torch.from_numpy(samples)[None])[0, :, 0].numpy(), OPTIONS)
        return audio.voiced_samples(len(samples), marks, self.rate)

    def cut(self, samples: np.ndarray) -> np.ndarray:
        """The samples with voice."""
        return samples[self.samples(samples)]
