"""Parameters of what degrades a waveform besides noises and rooms (torch-free)."""
from pydantic import Field

from sslspk.config import Config, Few, Probability


class DegradeConfig(Config):
    """Chances and largest extents; extents are drawn uniformly from 0 on.

    The chances are those of cpc-spk-4 (Lepage 2021, table 4.1), the extents the defaults of the library that it uses (audiomentations).
    """

    band_prob: Probability = Field(0.4, description="chance that a band of the spectrum is removed")
    band_share: Probability = Field(0.5, description="widest band, as a share of the spectrum")
    time_prob: Probability = Field(0.2, description="chance that a stretch is silenced")
    time_share: Probability = Field(0.5, description="longest stretch, as a share of the crop")
    time_count: Few = Field(1, description="stretches that are silenced, each of a length and at a place of its own")
    clip_prob: Probability = Field(0.2, description="chance that the loudest samples are cut to one level above and one below")
    clip_share: Probability = Field(0.4, description="most samples to be cut, as a share of the crop")
    clip_peaks: tuple[Probability, ...] = Field((), description="instead of clip_share: what is louder than one of these shares of the "
                                                "largest sample is cut to it")
    low_pass_prob: Probability = Field(0.0, description="chance that the top of the spectrum is removed, as by another sampling rate")
    low_pass_share: Probability = Field(0.5, description="what is left of the spectrum; .5 of 16 kHz audio is that of 8 kHz")
