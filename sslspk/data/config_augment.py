"""Augmentation of the audio of a crop: kinds, probabilities and strengths (torch-free).

The defaults are Cho et al.'s 2022 DINO recipe. Other papers' values:
    clovaai (and the systems that start from it): either a room (25 %) or a noise
        mode: either
        reverb_prob: 0.25
        noise_prob: 1.0
        noise_weights: {noise: 1, music: 1, babble: 0, speech: 1}
        snr_db: {noise: [0, 15], music: [5, 15], speech: [13, 20]}
    JHU's second recipe, teacher's views: reverb_prob 0.3, rir_weights {small: 1, medium: 0, large: 0, real: 0},
        snr_db: {noise: [10, 28], music: [13, 28], babble: [13, 28]}
"""
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.config import Config, Few, Probability, Seconds
from sslspk.features.config_degrade import DegradeConfig
from sslspk.features.config_specaug import SpecAugmentConfig

Speed = Annotated[float, Field(ge=0.5, le=2)]


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"the range {list(span)} runs backwards; give the lower value first")
    return span


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class RirWeights(Config):
    """How often each kind of room is drawn, relative to the others."""

    small: NonNegativeFloat = 1.0
    medium: NonNegativeFloat = 1.0
    large: NonNegativeFloat = 0.0
    real: NonNegativeFloat = 1.0


class NoiseWeights(Config):
    """How often each kind of noise is drawn, relative to the others. Babble: several speakers; speech: one."""

    noise: NonNegativeFloat = 1.0
    music: NonNegativeFloat = 1.0
    babble: NonNegativeFloat = 1.0
    speech: NonNegativeFloat = 0.0


class SnrRanges(Config):
    """Lowest and highest SNR in dB of each kind of noise; drawn uniformly."""

    noise: Range = (0.0, 18.0)
    music: Range = (3.0, 18.0)
    babble: Range = (3.0, 18.0)
    speech: Range = (13.0, 20.0)


class GrowShare(Config):
    """A share that rises linearly to 1 (Heo et al. 2022, arXiv 2203.14525)."""

    start_share: Probability = Field(0.0, description="share in the first step")
    epochs: PositiveFloat = Field(description="epochs after which the share is 1; may be a fraction")


class AugmentConfig(Config):
    """Augmentation of a crop. Kinds of noises and rooms that are missing below `dir` are left out of the draw."""

    dir: str | None = Field(None, description="folder that steps/make_augment_lists.sh wrote; null: no noise and no reverberation")
    on_device: bool | None = Field(None, description="keep the recordings of `dir` in the memory of the training device, instead of "
                                                     "reading them for each crop; null: on a GPU, where they fit into a tenth of its "
                                                     "free memory. Changes no result. Wave input only")
    mode: Literal["both", "either"] = Field("both", description="both: reverberation and noise are drawn independently; either: noise "
                                                                "only if there is no reverberation")
    reverb_prob: Probability = 0.45
    rir_weights: RirWeights = RirWeights()
    rir_seconds: Seconds = Field(0.5, description="longer impulse responses are cut to this length; reverberation of speech before the "
                                                  "crop is not simulated")
    noise_prob: Probability = 0.7
    noise_weights: NoiseWeights = NoiseWeights()
    snr_db: SnrRanges = SnrRanges()
    speech_prob: Probability = Field(0.0, description="probability that the voice of another speaker is added, independently of noise; "
                                                      "its SNR is snr_db.speech")
    eq_prob: Probability = Field(0.0, description="probability of a random equaliser; it keeps the network from recognising a recording "
                                                  "by its channel")
    eq_db: NonNegativeFloat = Field(10.0, description="equaliser: the gains of its points are uniform in +- this")
    eq_points: Few = Field(8, ge=2, description="equaliser: number of its points, evenly spaced on the mel scale")
    gain_db: Range = Field((0.0, 0.0), description="range of the change of level; without effect on features whose mean is subtracted")
    speed_perturb: tuple[Speed, ...] = Field((), description="speed factors, one drawn for all crops of an utterance, such "
                                             "as [0.9, 1.0, 1.1]; empty: off. Wave input only")
    specaug: SpecAugmentConfig | None = Field(None, description="SpecAugment masks; null: none")
    degrade: DegradeConfig | None = Field(None, description="frequency bands removed, parts silenced, samples clipped; null: none. Wave "
                                                            "input only")
    grow: GrowShare | None = Field(None, description="a curriculum: the share of a batch's utterances whose views get noise, room, "
                                   "equaliser, gain and degradation (each utterance is drawn for itself); null: all. Wave input only")

    @model_validator(mode="after")
    def _something_to_draw(self):
        for prob, weights in (("noise_prob", "noise_weights"), ("reverb_prob", "rir_weights")):
            if getattr(self, prob) > 0 and not any(getattr(self, weights).model_dump().values()):
                raise ValueError(f"{prob} is above 0 but all of {weights} are 0; set {prob} to 0 or give a weight")
        return self
