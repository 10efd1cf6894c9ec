"""Configuration of wav2vec 2.0's pre-training (torch-free)."""
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.config import Config, Few, Probability, Size
from sslspk.data.config import Crop
from sslspk.methods.config_frames import OneCrop, require_encoder, require_rows, require_steps


class Wav2Vec2Config(OneCrop):
    """wav2vec 2.0 (Baevski et al. 2020). Defaults: the base model of fairseq; Lepage 2021 draws negatives from another recording."""

    name: Literal["wav2vec2"] = "wav2vec2"
    crops: tuple[Crop, ...] = (Crop(count=1, seconds=15.6),)
    mask_prob: Probability = Field(0.65, description="share of the steps that would be masked if masks did not overlap")
    mask_span: Few = Field(10, description="length of a mask in steps")
    negatives: Literal["own", "other"] = Field("own", description="own: negatives are other masked steps of the same utterance; other: "
                                                                  "masked steps of another utterance of the batch")
    num_negatives: Size = Field(100, description="number of negatives for each masked step")
    temperature: PositiveFloat = Field(0.1, description="temperature of the cosines")
    out_dim: Size = Field(256, description="dimension in which predictions and targets are compared")
    codes: Size = Field(320, description="V, number of code words per group")
    groups: Few = Field(2, description="G, number of groups of the quantiser")
    code_dim: Size = Field(256, description="dimension of a quantised step, all groups together")
    quantiser_depth: Few = Field(1, description="number of linear layers that choose the codes")
    combine_groups: bool = Field(False, description="one code book for all groups")
    gumbel_start: PositiveFloat = Field(2.0, description="temperature of the choice of codes at step 0")
    gumbel_end: PositiveFloat = Field(0.5, description="lowest temperature of the choice of codes")
    gumbel_decay: float = Field(0.999995, gt=0, le=1, description="factor on this temperature at each optimizer step")
    diversity: NonNegativeFloat = Field(0.1, description="weight of the loss that makes the quantiser use all codes")
    feature_penalty: NonNegativeFloat = Field(10.0, description="weight of the mean square of the convolutions' output")
    feature_gradient: PositiveFloat = Field(0.1, description="factor on the gradient of the convolutions")
    feature_dropout: float = Field(0.1, ge=0, lt=1, description="dropout of the quantiser's input")

    @model_validator(mode="after")
    def _sizes(self):
        if self.code_dim % self.groups:
            raise ValueError(f"code_dim ({self.code_dim}) must be a multiple of groups ({self.groups}); change either")
        if self.gumbel_end > self.gumbel_start:
            raise ValueError(f"gumbel_end ({self.gumbel_end:g}) is above gumbel_start ({self.gumbel_start:g}); lower it")
        return self

    def require(self, encoder: Config, rows: int) -> None:
        require_encoder(self, encoder, ("wav2vec2",))
        if encoder.pooling != "mean":
            raise ValueError(f"method wav2vec2 trains the last layer; set encoder.pooling: mean, not {encoder.pooling}")
        require_steps(self, encoder)
        if self.negatives == "other":
            require_rows(rows)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        return self.mask_span + 1, "mask_span"
