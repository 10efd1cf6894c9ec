"""Configuration of the encoder and decoder of DSVAE (torch-free)."""
from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Size


class DsvaeEncoderConfig(Config):
    """Disentangled sequential variational autoencoder. The defaults are C-DSVAE's (Lian et al. 2022, arXiv 2205.05227, Table 1)."""

    name: Literal["dsvae"] = "dsvae"
    channels: Size = Field(256, description="channels of the shared convolutions")
    kernel: Few = Field(5, description="frames that a convolution sees, here and in the decoder; an odd number")
    hidden_dim: Size = Field(512, description="units of both branches' LSTMs (one direction) and of the content's RNN")
    embed_dim: Size = Field(64, description="dimension of z_s, the speaker's latent: the embedding")
    whiten: bool = Field(False, description="transform the means of z_s to covariance I, as in the prior (ours): directions of "
                         "little variance, where the speaker is, then count as much as level and channel")
    content_dim: Size = Field(64, description="dimension of z_c, the content's latent of each frame")
    decoder_channels: Size = Field(512, description="channels of the decoder's convolutions and units of its first LSTM")
    decoder_hidden: Size = Field(1024, description="units of the decoder's other two LSTM layers")
    postnet: int = Field(4, ge=0, le=20, description="convolutions of the decoder's postnet before its last one; 0: no postnet")
    skip: bool = Field(False, description="a linear layer from both latents to the frames, added to what the decoder's LSTMs give (ours)")
    statistics_batches: int = Field(20, ge=1, le=1000, description="training batches whose mean and deviation of each feature standardise "
                                                                   "the features")
    ridge: PositiveFloat | None = Field(None, description="null: each feature is standardised for itself; a number, such as 0.1: their "
                                        "correlations are taken out too (ours), but directions of less variance than this stay small")
    decorrelate: Literal["frames", "means"] = Field("frames", description="where `ridge` takes correlations out: of all frames, or only of "
                                                    "each crop's mean over time; phones, which vary within a crop, then stay as they are")

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("ridge", self.ridge is not None, ("decorrelate",))]

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel):
        if kernel % 2 == 0:
            raise ValueError(f"is {kernel}; give an odd number, so that there are as many frames after a convolution as before it")
        return kernel
