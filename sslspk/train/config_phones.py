"""Configuration of the phone recogniser that aligns transcripts (torch-free)."""
from pydantic import Field, NonNegativeFloat, PositiveFloat

from sslspk.config import Config, Few, Probability, Size


class PhoneConfig(Config):
    """What steps/align_phones.sh trains: convolutions and a bidirectional LSTM on log-mel, by CTC with label priors."""

    channels: Size = Field(128, description="channels of the convolutions")
    depth: Few = Field(2, description="convolutions of 100 ms after the first one")
    hidden: Size = Field(96, description="units of the LSTM in each direction")
    dropout: Probability = 0.1
    epochs: Few = 15
    flat: int = Field(3, ge=0, le=1000, description="number of first epochs that learn from phones spread evenly over loud frames")
    batch_size: Size = Field(16, description="utterances per step, of similar length")
    learning_rate: PositiveFloat = Field(0.002, le=1, description="highest learning rate of Adam, reached after an epoch of warm-up; then "
                                                                  "a cosine down to 0")
    prior_scale: NonNegativeFloat = Field(0.8, le=1, description="power of a phone's frequency by which its likelihood is divided")
    first_power: float = Field(0.1, gt=0, le=1, description="power of the likelihoods in the first later epoch; it rises to 1")
    band: NonNegativeFloat = Field(0.15, le=1, description="distance, as a share of the transcript, that a phone may be from its place in "
                                                           "the even spread without penalty")
    penalty: NonNegativeFloat = Field(5.0, le=1000, description="penalty in nats per frame for a phone beyond this distance, or for "
                                                                "silence in a loud frame")
    silence_cost: NonNegativeFloat = Field(2.0, le=1000, description="penalty in nats per frame of silence when a transcript is aligned")
    gap: int = Field(3, ge=0, le=1000, description="a silence of at most so many frames between two phones is divided between them")
    seed: int = Field(0, ge=0, le=2**31)
