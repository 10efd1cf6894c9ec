"""Feature, VAD and CMN options: flat, named as Kaldi's with underscores, Kaldi's defaults but 80 mel bins and no dither (torch-free)."""
from typing import Literal

from pydantic import Field, NonNegativeFloat, model_validator

from sslspk.config import Config, Size

FULL_SCALE = 32768.0   # of int16 samples, 1.0 in floats


class FeatureOptions(Config):
    """compute-fbank-feats and compute-mfcc-feats. Lengths in ms, frequencies in Hz."""

    feature_type: Literal["fbank", "mfcc", "fbank_db"] = Field(
        "fbank", description="fbank_db: speechbrain's Fbank, in decibels; of the other options it has the lengths, bins and frequencies")
    sample_frequency: float = Field(16000.0, gt=0, le=1e6)
    frame_length: float = Field(25.0, gt=0, le=1000)
    frame_shift: float = Field(10.0, gt=0, le=1000)
    dither: Literal[0, 0.0] = Field(0.0, description="must be 0: features must be the same in every extraction")
    preemphasis_coefficient: float = Field(0.97, ge=0, le=1)
    remove_dc_offset: bool = True
    window_type: Literal["povey", "hamming", "hanning", "rectangular", "blackman"] = "povey"
    blackman_coeff: float = 0.42
    round_to_power_of_two: bool = True
    snip_edges: bool = True
    num_mel_bins: Size = 80
    low_freq: NonNegativeFloat = 20.0
    high_freq: float = Field(0.0, description="upper edge of the mel bank in Hz; 0 or negative: added to half the sampling rate")
    use_energy: bool = Field(False, description="fbank: add the log energy as first column; mfcc: replace C0 by it")
    raw_energy: bool = Field(True, description="compute the energy before preemphasis and window")
    energy_floor: NonNegativeFloat = 0.0
    num_ceps: Size = 13
    cepstral_lifter: NonNegativeFloat = 22.0

    @model_validator(mode="after")
    def _possible(self):
        if self.window_samples < 2 or self.shift_samples < 1:
            raise ValueError(f"a frame of {self.frame_length:g} ms every {self.frame_shift:g} ms is shorter than a sample; "
                             "frame_length and frame_shift are milliseconds")
        if self.feature_type == "mfcc" and self.num_ceps > self.num_mel_bins:
            raise ValueError(f"num_ceps {self.num_ceps} is above num_mel_bins {self.num_mel_bins}; lower num_ceps")
        if self.feature_type == "fbank_db" and self.use_energy:
            raise ValueError("use_energy is not for feature_type fbank_db; remove it")
        if not self.low_freq < self.top_freq <= self.sample_frequency / 2:
            raise ValueError(f"the mel bank would reach from {self.low_freq:g} to {self.top_freq:g} Hz at a rate of "
                             f"{self.sample_frequency:g}; correct low_freq and high_freq")
        return self

    @property
    def top_freq(self) -> float:
        """Upper edge of the mel bank in Hz."""
        return self.high_freq if self.high_freq > 0 else self.sample_frequency / 2 + self.high_freq

    @property
    def window_samples(self) -> int:
        return int(self.sample_frequency * 0.001 * self.frame_length)

    @property
    def shift_samples(self) -> int:
        return int(self.sample_frequency * 0.001 * self.frame_shift)

    def num_frames(self, samples: int) -> int:
        """T of Kaldi's features of so many samples (not of fbank_db, see `decibels`)."""
        if self.snip_edges:
            return max(0, 1 + (samples - self.window_samples) // self.shift_samples)
        return (samples + self.shift_samples // 2) // self.shift_samples

    @property
    def num_features(self) -> int:
        """F, the columns of a feature matrix."""
        return self.num_ceps if self.feature_type == "mfcc" else self.num_mel_bins + self.use_energy


class VadOptions(Config):
    """compute-vad: a frame is voiced when enough frames around it have a log energy above the threshold. Kaldi's defaults."""

    vad_energy_threshold: float = 5.0
    vad_energy_mean_scale: NonNegativeFloat = 0.5
    vad_frames_context: int = Field(0, ge=0, le=10_000)
    vad_proportion_threshold: float = Field(0.6, gt=0, lt=1)


class CmvnOptions(Config):
    """How an utterance's (or a crop's) features are normalised before the encoder."""

    cmn: Literal["none", "utterance", "sliding"] = "utterance"
    norm_vars: bool = False
    cmn_window: Size = Field(300, description="sliding: frames of the window")
    min_cmn_window: Size = Field(100, description="sliding, center false: least frames of the window at the start")
    center: bool = Field(True, description="sliding: the window is centred on the frame")
