"""Options of the features that an encoder may be asked to predict from the waveform (torch-free)."""
from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from sslspk.config import Config, Size

Kind = Literal["lps", "lps_long", "fbank", "fbank_long", "gtn", "gtn_long", "mfcc", "mfcc_long", "prosody"]
BINS = {"lps": 1025, "fbank": 40, "gtn": 40, "mfcc": 20, "prosody": 4}
WINDOWS = {"lps": 25.0, "lps_long": 32.0, "fbank": 25.0, "fbank_long": 64.0, "gtn": 25.0, "gtn_long": 128.0, "mfcc": 25.0,
           "mfcc_long": 128.0, "prosody": 25.0}


class TargetConfig(Config):
    """One kind of features, one frame for each step of an encoder, the frame's centre in the middle of the step's samples.

    lps: log power spectrum; fbank: log-mel filterbank; gtn: log energies of gammatone filters; mfcc: cepstra; prosody: log pitch, voicing,
    log energy, rate of zero crossings. The windows of the _long ones are PASE+'s.
    """

    name: Kind
    bins: Size | None = Field(None, description="features without deltas; null: lps 1025, fbank and gtn 40, mfcc 20, prosody 4")
    window: PositiveFloat | None = Field(None, le=1000,
                                         description="window in ms; null: 25, or for a _long kind 32 (lps), 64 (fbank) or 128")
    deltas: bool = Field(False, description="also first and second differences over time")

    @property
    def kind(self) -> str:
        """What is computed, whatever the window."""
        return self.name.removesuffix("_long")

    @property
    def num_bins(self) -> int:
        return self.bins or BINS[self.kind]

    @property
    def num_features(self) -> int:
        """F, with deltas."""
        return self.num_bins * (3 if self.deltas else 1)

    @property
    def window_ms(self) -> float:
        return self.window or WINDOWS[self.name]

    @model_validator(mode="after")
    def _possible(self):
        if self.kind == "prosody" and self.num_bins != 4:
            raise ValueError(f"prosody has 4 features, not {self.num_bins}; leave bins out")
        if self.kind == "lps" and (self.num_bins < 3 or (self.num_bins - 1) & (self.num_bins - 2)):
            raise ValueError(f"the spectrum of a Fourier transform has 2^n + 1 bins, not {self.num_bins}; take 257, 513 or 1025")
        if self.kind == "mfcc" and self.num_bins > 40:
            raise ValueError(f"40 mel bins give 40 cepstra at most, not {self.num_bins}; lower bins")
        return self
