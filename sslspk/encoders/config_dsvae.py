"""Configuration of the encoder and decoder of DSVAE (torch-free)."""
from typing import Literal

from pydantic import Field, field_validator

from sslspk.config import Config, Few, Size


class DsvaeEncoderConfig(Config):
    """Disentangled sequential variational autoencoder. The defaults are C-DSVAE's (Lian et al. 2022, arXiv 2205.05227, Table 1)."""

    name: Literal["dsvae"] = "dsvae"
    channels: Size = Field(256, description="of the shared convolutions")
    kernel: Few = Field(5, description="frames that a convolution sees, here and in the decoder; an odd number")
    hidden_dim: Size = Field(512, description="of both branches' LSTMs (of one direction) and of the content's RNN")
    embed_dim: Size = Field(64, description="z_s, of the speaker: the embedding")
    content_dim: Size = Field(64, description="z_c, of each frame")
    decoder_channels: Size = Field(512, description="of the decoder's convolutions and its first LSTM")
    decoder_hidden: Size = Field(1024, description="of its other two LSTM layers")
    postnet: int = Field(4, ge=0, le=20, description="convolutions of the decoder's postnet before its last one; 0: no postnet")
    statistics_batches: int = Field(20, ge=1, le=1000, description="training batches whose mean and deviation of each feature standardise "
                                                                   "the features")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel):
        if kernel % 2 == 0:
            raise ValueError(f"is {kernel}; give an odd number, so that there are as many frames after a convolution as before it")
        return kernel
