"""What the training data look like: road, crops, and what happens to recordings shorter than a crop (torch-free)."""
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from sslspk.config import Config


class Crop(Config):
    """`count` views of `seconds` each, drawn independently from one recording and augmented independently."""

    count: PositiveInt
    seconds: PositiveFloat


class DataConfig(Config):
    """The training set as the loader sees it.

    short: what becomes of a recording shorter than the longest crop.
        repeat  it is played again from its start until the crop is full (default: nothing is lost)
        drop    it is left out of the training set (counted in the log)
        whole   it is taken whole: that batch's crops of this kind are as long as its shortest recording
    """

    road: Literal["wave", "feats"] = "wave"
    short: Literal["repeat", "drop", "whole"] = "repeat"
    min_seconds: float = Field(0.0, ge=0, description="recordings shorter than this are left out")
    batch_size: PositiveInt = Field(128, description="recordings per optimizer step, over all ranks")
    draws_per_epoch: PositiveInt = Field(1, description="how often a recording is drawn in an epoch")
    reduce_overlap_prob: float = Field(0.0, ge=0, le=1, description="chance that the first crops are placed far apart")
    workers: int = Field(2, ge=0, description="loader processes per rank; 0 reads in the training process")
