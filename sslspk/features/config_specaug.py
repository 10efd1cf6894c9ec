"""SpecAugment's parameters (torch-free)."""
from typing import Literal

from pydantic import Field, NonNegativeInt

from sslspk.config import Config, Probability


class SpecAugmentConfig(Config):
    """How many blocks are masked and how large they may be; widths are drawn uniformly from 0 to the largest.

    shape  bands      frames of all bins, and bins of all frames
           rectangle  only where a band of frames crosses one of bins

    The defaults are JHU's second DINO recipe's: one time mask of at most 5 frames, one mel mask of at most 8 bins, filled
    with the mean.
    """

    prob: Probability = Field(1.0, description="chance that a crop is masked at all")
    shape: Literal["bands", "rectangle"] = "bands"
    num_time_masks: int = Field(1, ge=0, le=1000)
    max_time: NonNegativeInt = 5       # frames
    num_freq_masks: int = Field(1, ge=0, le=1000)
    max_freq: NonNegativeInt = 8       # bins
    fill: Literal["mean", "zero"] = "mean"
