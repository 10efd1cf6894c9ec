"""Configuration of masked prediction (torch-free): HuBERT's clusters of MFCC or of a layer, BEST-RQ's random projection."""
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from sslspk.branches import Branch
from sslspk.config import Config, Few, Probability, Size
from sslspk.data.config import Crop
from sslspk.methods.config_frames import OneCrop, require_encoder, require_steps


class MfccLabels(Config):
    """Clusters of cepstra with first and second differences, every 10 ms (HuBERT's first round)."""

    name: Literal["mfcc"] = "mfcc"
    clusters: Size = 100
    ceps: int = Field(13, ge=1, le=40,
                      description="number of cepstra of 40 mel bins; with differences there are three times as many features")
    points: Size = Field(200_000, description="frames that the clusters are learnt from, at least one of each utterance")
    iterations: Few = Field(20, description="iterations of k-means")


class LayerLabels(Config):
    """Clusters of what a trained model gives (HuBERT's later rounds)."""

    name: Literal["layer"] = "layer"
    model: str | None = Field(None, description="final.pt of a model with waveform input; required")
    layer: int | None = Field(None, ge=0, le=1000,
                              description="layer of the model's Transformer; 0: its input; null: the model's output frames")
    clusters: Size = 500
    points: Size = Field(200_000, description="frames that the clusters are learnt from, at least one of each utterance")
    iterations: Few = Field(20, description="iterations of k-means")


class RandomLabels(Config):
    """The nearest of random vectors to a random projection of log-mel frames (BEST-RQ); nothing of it is learnt."""

    name: Literal["random_projection"] = "random_projection"
    codes: Size = 8192
    dim: Size = Field(16, description="dimension of the projection and the vectors")
    bins: Size = Field(80, description="log-mel bins, in frames of 10 ms; the frames of one encoder step are put together")


class MaskedPredictionConfig(OneCrop):
    """Predict the labels of masked steps: HuBERT (Hsu et al. 2021; the defaults are its base model) and BEST-RQ (Chiu et al. 2022).

    BEST-RQ: targets: {name: random_projection}, fill: noise, head: linear.
    """

    name: Literal["masked_prediction"] = "masked_prediction"
    crops: tuple[Crop, ...] = (Crop(count=1, seconds=15.6),)
    targets: Annotated[MfccLabels | LayerLabels | RandomLabels, Field(discriminator="name")] = MfccLabels()
    mask_prob: Probability = Field(0.8, description="share of the steps that would be masked if masks did not overlap")
    mask_span: Few = Field(10, description="length of a mask in steps")
    fill: Literal["vector", "noise"] = Field("vector", description="what replaces a masked step: a learnt vector, or noise of deviation "
                                                                   "0.1 (the convolutions' output has deviation 1)")
    head: Literal["cosine", "linear"] = Field("cosine",
                                              description="cosine: cosine with a learnt vector of each label, divided by temperature; "
                                                          "linear: a linear layer")
    out_dim: Size = Field(256, description="cosine: dimension in which steps and labels are compared")
    temperature: PositiveFloat = Field(0.1, description="cosine: temperature of the cosines")
    unmasked_weight: NonNegativeFloat = Field(0.0, description="weight of the same loss at the steps that are not masked")
    feature_penalty: NonNegativeFloat = Field(10.0, description="weight of the mean square of the convolutions' output")
    feature_gradient: PositiveFloat = Field(0.1, description="factor on the gradient of the convolutions")

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("head: cosine", self.head == "cosine", ("out_dim", "temperature"))]

    def require(self, encoder: Config, rows: int) -> None:
        require_encoder(self, encoder, ("wav2vec2",))
        if encoder.pooling != "mean":
            raise ValueError(f"method masked_prediction pre-trains encoder.pooling: mean, not {encoder.pooling}; change it")
        if self.targets.name == "layer" and not self.targets.model:
            raise ValueError("method.targets.model names no model to take labels from; give --set method.targets.model=EXP/final.pt")
        if self.targets.name != "layer" and encoder.step_samples % (encoder.rate // 100):
            raise ValueError(f"labels come every 10 ms, and a step of the encoder has {1000 * encoder.step_samples / encoder.rate:g} ms; "
                             "make it a multiple")
        require_steps(self, encoder)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        return self.mask_span + 1, "mask_span"
