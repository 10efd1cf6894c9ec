"""Configuration of DSVAE and C-DSVAE (torch-free)."""
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop

FRAMES = (Crop(count=2, seconds=1.648, layout="twin"),)


class _Latents(Config):
    """loss = reconstruction + alpha KL(z_s) + beta sum over frames of KL(z_c), in nats of a crop, mean over the batch; divided by the
    number of frames.

    crops: one crop; of layout twin its augmented copy is encoded and its clean copy is what the decoder is to give.
    """

    weights: ClassVar[tuple[str, ...]] = ("speaker", "content")
    crops: tuple[Crop, ...] = FRAMES
    alpha: NonNegativeFloat = Field(0.01, description="weight of KL(q(z_s|X) || N(0, I))")
    beta: NonNegativeFloat = Field(10.0, description="weight of KL(q(z_c|X) || prior)")
    warmup_steps: int = Field(0, ge=0, description="optimizer steps in which alpha and beta rise linearly from 0; against an empty z_c "
                              "(ours; the papers do not say)")
    reconstruction: Literal["sum", "mean"] = Field("sum", description="half the squared error of a frame's standardised features, summed "
                                                   "over them or their mean; always summed over frames")
    prior_dim: Size = Field(256, description="units of the prior's LSTM")
    evaluate: Literal["speaker", "content"] = "speaker"

    @model_validator(mode="after")
    def _one(self):
        if len(self.crops) != 1 or self.crops[0].count != 1 + (self.crops[0].layout == "twin"):
            raise ValueError("this method learns within one crop of each utterance; give crops [{count: 2, seconds: 1.648, layout: twin}], "
                             "or count 1 without a clean copy")
        return self

    def require(self, encoder: Config, rows: int) -> None:
        """Raises ValueError where this method cannot learn with that encoder from `rows` recordings at a time."""
        if encoder.name != "dsvae":
            raise ValueError(f"method {self.name} needs an encoder with two branches and a decoder; set encoder: {{name: dsvae}}, not "
                             f"{encoder.name}")


class DsvaeConfig(_Latents):
    """Disentangled sequential variational autoencoder (Lian, Zhang & Yu 2022, arXiv 2203.16705)."""

    name: Literal["dsvae"] = "dsvae"


class MaskedLabelsConfig(Config):
    """Also tell the labels of frames that are hidden from the content branch (our reading of "+MP"), as HuBERT does."""

    weight: PositiveFloat = Field(1.0, description="weight of the cross-entropy, summed over a crop's masked frames")
    mask_prob: float = Field(0.2, gt=0, le=1, description="share of the frames that spans would cover if none overlapped")
    mask_span: Few = Field(5, description="length of a mask in frames")


class CdsvaeConfig(_Latents):
    """C-DSVAE (Lian et al. 2022, arXiv 2205.05227): the prior of z_c is told the label of each frame (data.frame_labels)."""

    name: Literal["cdsvae"] = "cdsvae"
    label_kinds: tuple[Literal["truth", "align", "mel", "bestrq", "frames"], ...] = Field(
        (), description="allowed kinds of labels, as ali.json says; empty: any")
    masked_prediction: MaskedLabelsConfig | None = None
