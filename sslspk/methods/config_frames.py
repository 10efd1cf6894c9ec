"""Configuration of the methods that learn from the frames of a waveform (torch-free): what they share, CPC, LIM and GIM."""
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop

ONE = (Crop(count=1, seconds=1.28),)


class OneCrop(Config):
    """Each recording is one crop of 20480 samples at 16 kHz. What such methods share."""

    frames: ClassVar[bool] = True   # see methods.config.learns_from_frames
    weights: ClassVar[tuple[str, ...]] = ("encoder",)
    crops: tuple[Crop, ...] = ONE
    evaluate: Literal["encoder"] = "encoder"

    @model_validator(mode="after")
    def _one(self):
        if len(self.crops) != 1 or self.crops[0].count != 1:
            raise ValueError("this method learns within one crop of each utterance; give crops [{count: 1, seconds: 1.28}]")
        return self

    def require(self, encoder: Config, rows: int) -> None:
        """Raises ValueError where this method cannot learn with that encoder from `rows` recordings at a time."""
        raise NotImplementedError

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        """How many steps of that encoder a crop must have, and the option that asks for them."""
        raise NotImplementedError


def require_steps(method: Config, encoder: Config) -> None:
    """Raises ValueError where a crop has fewer steps of the encoder than the method needs."""
    seconds, (needed, key) = method.crops[0].seconds, method.least_steps(encoder)
    steps = encoder.steps(round(seconds * encoder.rate))
    if steps < needed:
        raise ValueError(f"a crop of {seconds:g} s has {steps} steps, method.{key} needs {needed}; use longer crops")


def require_rows(rows: int) -> None:
    """Raises ValueError where a forward pass has fewer than two recordings."""
    if rows < 2:
        raise ValueError("a forward pass needs at least two utterances; raise data.batch_size")


def require_encoder(method: Config, encoder: Config, names: tuple[str, ...]) -> None:
    """Raises ValueError for an encoder that is none of `names`."""
    if encoder.name not in names:
        raise ValueError(f"method {method.name} learns from the frames of a waveform; set encoder: {{name: {' or '.join(names)}}}, not "
                         f"{encoder.name}")


class CpcConfig(OneCrop):
    """Contrastive predictive coding (van den Oord et al. 2018). Defaults: Lepage 2021, cpc-spk-1.

    CPC_audio (facebookresearch): positions: every, negatives: anywhere, score: mean, and predictor: transformer or bias: false.
    """

    name: Literal["cpc"] = "cpc"
    steps: Few = Field(12, description="K: how many steps ahead are predicted, each by a predictor of its own")
    predictor: Literal["linear", "transformer"] = Field("linear", description="transformer: one layer over the contexts so far, 8 heads, "
                                                        "relative positions (CPC_audio)")
    predictor_dim: Size = Field(2048, description="transformer: hidden units of that layer")
    predictor_dropout: float = Field(0.1, ge=0, lt=1, description="transformer: dropout of its attention weights and hidden units")
    positions: Literal["last", "every"] = Field("last", description="contexts that predict: the last one with K steps after it, or all")
    negatives: Literal["batch", "anywhere"] = Field("batch", description="batch: the other utterances at the same step; anywhere: drawn "
                                                                         "from all steps of the batch")
    num_negatives: Size = Field(128, description="anywhere: number of negatives for each position")
    softmax: Literal["futures", "contexts"] = Field("futures", description="batch: what is told apart, the futures for a context "
                                                    "(the paper) or the contexts for a future (the code of Lepage from September 2021)")
    score: Literal["sum", "mean"] = Field("sum", description="combine the channels of prediction times future by their sum or their mean")
    bias: bool | None = Field(True, validate_default=True,
                              description="whether the linear layers that predict have a bias; null with a Transformer")

    @field_validator("bias")
    @classmethod
    def _of_linear_layers(cls, bias, info):
        linear = info.data.get("predictor") == "linear"
        if bias is (None if linear else False):
            raise ValueError("is of predictor: linear, and true or false there; remove it")
        return bias if linear else None   # configurations of Transformers held true in earlier versions

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("negatives: anywhere", self.negatives == "anywhere", ("num_negatives",)),
                Branch("predictor: transformer", self.predictor == "transformer", ("predictor_dim", "predictor_dropout"))]

    @model_validator(mode="after")
    def _softmax(self):
        if self.negatives == "anywhere" and self.softmax == "contexts":
            raise ValueError("negatives anywhere are steps, not contexts; use softmax: futures, or negatives: batch")
        return self

    def require(self, encoder: Config, rows: int) -> None:
        require_encoder(self, encoder, ("cpc",))
        if encoder.context == "none":
            raise ValueError("method cpc predicts from a context; set encoder.context: gru or lstm")
        if self.predictor == "transformer" and (encoder.context_dim != encoder.channels or encoder.channels % 8):
            raise ValueError("predictor: transformer needs encoder.context_dim equal to encoder.channels, a multiple of 8; set both")
        require_steps(self, encoder)
        require_rows(rows)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        return self.steps + 1, "steps"


class LimConfig(OneCrop):
    """Local and global info max, LIM and GIM (Ravanelli & Bengio 2019): two parts of a recording against a part of another one."""

    name: Literal["lim"] = "lim"
    context_length: Size = Field(1, description="steps whose mean is a part; 1: LIM, more: GIM")
    objective: Literal["bce", "nce", "mine"] = Field("bce", description="loss of the discriminator; bce converged best for the authors")
    hidden_dim: Size = Field(256, description="hidden units of the discriminator")

    def require(self, encoder: Config, rows: int) -> None:
        require_encoder(self, encoder, ("cpc", "pase"))
        require_steps(self, encoder)
        require_rows(rows)

    def least_steps(self, encoder: Config) -> tuple[int, str]:
        return self.context_length, "context_length"
