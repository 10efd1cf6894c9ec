"""Configuration of vq-wav2vec (torch-free)."""
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Probability, Size
from sslspk.methods.config_frames import OneCrop, require_encoder, require_rows, require_steps


class VqWav2vecConfig(OneCrop):
    """vq-wav2vec (Baevski et al. 2020); with encoder.quantiser: null wav2vec (Schneider et al. 2019). Defaults: fairseq's.

    seed: the port of Lepage 2021, a Transformer on masked code words whose last step predicts, negatives from the batch as in CPC.
    """

    name: Literal["vq_wav2vec"] = "vq_wav2vec"
    seed: bool = Field(False, description="train as the port of Lepage 2021; needs encoder.aggregator: {name: transformer}")
    steps: Few = Field(12, description="K: how many steps ahead are predicted, each by a linear layer of its own")
    num_negatives: Size = Field(10, description="not seed: number of negatives of each step, drawn from the same utterance")
    negative_weight: PositiveFloat | None = Field(None, description="not seed: weight of each negative's binary cross-entropy; null: "
                                                                    "1 / num_negatives")
    gumbel_start: PositiveFloat = Field(2.0, description="Gumbel: temperature of the choice of codes at step 0")
    gumbel_end: PositiveFloat = Field(0.5, description="Gumbel: lowest temperature of the choice of codes")
    gumbel_decay: float = Field(0.999995, gt=0, le=1, description="Gumbel: factor on this temperature at each optimizer step")
    codes_weight: NonNegativeFloat = Field(1.0, description="k-means: weight of both terms that draw steps and code words together")
    commitment: NonNegativeFloat = Field(0.25, description="k-means: gamma, share of the term that draws the steps to the code words")
    mask_prob: Probability = Field(0.65, description="seed: share of the steps that would be masked if masks did not overlap")
    mask_span: Few = Field(10, description="seed: length of a mask in steps")
    diversity: NonNegativeFloat = Field(0.1, description="seed: weight of the loss that makes the quantiser use all codes")
    feature_penalty: NonNegativeFloat = Field(10.0, description="seed: weight of the mean square of the convolutions' output")

    @model_validator(mode="after")
    def _temperature(self):
        if self.gumbel_end > self.gumbel_start:
            raise ValueError(f"gumbel_end ({self.gumbel_end:g}) is above gumbel_start ({self.gumbel_start:g}); lower it")
        return self

    def branches(self, whole: Config) -> list[Branch]:
        quantiser = whole.encoder.quantiser and whole.encoder.quantiser.name
        return [Branch("seed: true", self.seed, ("mask_prob", "mask_span", "diversity", "feature_penalty")),
                Branch("seed: false", not self.seed, ("num_negatives", "negative_weight")),
                Branch("encoder.quantiser gumbel", quantiser == "gumbel", ("gumbel_start", "gumbel_end", "gumbel_decay")),
                Branch("encoder.quantiser kmeans", quantiser == "kmeans", ("codes_weight", "commitment"))]

    def require(self, encoder: Config, rows: int) -> None:
        require_encoder(self, encoder, ("vq_wav2vec",))
        if self.seed != (encoder.aggregator.name == "transformer"):
            raise ValueError("method.seed: true needs encoder.aggregator: {name: transformer}, false needs convolutions; change either")
        if self.seed and (encoder.quantiser is None or encoder.quantiser.name != "gumbel"):
            raise ValueError("method.seed masks Gumbel code words; set encoder.quantiser: {name: gumbel}")
        if self.seed:
            require_rows(rows)
        require_steps(self, encoder)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        if self.seed:
            return self.steps + self.mask_span + 1, "mask_span" if self.mask_span > self.steps else "steps"
        return self.steps + encoder.offset + 1, "steps"
