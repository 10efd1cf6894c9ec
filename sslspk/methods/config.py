"""Configuration of the methods (torch-free). Each model's `name` chooses the class in sslspk.methods.build.

`weights` of each model lists the encoders that a recipe evaluates, as Method.encoders() names them.
"""
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop
from sslspk.methods.config_dsvae import CdsvaeConfig, DsvaeConfig
from sslspk.methods.config_frames import CpcConfig, LimConfig
from sslspk.methods.config_masked import MaskedPredictionConfig
from sslspk.methods.config_moco import MocoConfig, ProjectionConfig, require_two_views
from sslspk.methods.config_pairs import BarlowTwinsConfig, ByolConfig, VicregConfig
from sslspk.methods.config_pase import PaseConfig
from sslspk.methods.config_positives import PositivesConfig, by_labels, require_no_mask
from sslspk.methods.config_regularise import RegulariseConfig
from sslspk.methods.config_sdpn import SdpnConfig
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.config_vq_wav2vec import VqWav2vecConfig
from sslspk.methods.config_wav2vec2 import Wav2Vec2Config

PAIR = (Crop(count=2, seconds=4.0),)


class DinoConfig(Config):
    """DINO for utterances (Cho et al. 2022; Zhang & Yu 2022). Defaults are those of Cho's LResNet34 recipe.

    The first entry of `crops` holds the long (global) views that teacher and student see, the others only the student sees.
    """

    weights: ClassVar[tuple[str, ...]] = ("teacher", "student")
    name: Literal["dino"] = "dino"
    crops: tuple[Crop, ...] = (Crop(count=2, seconds=4.0), Crop(count=4, seconds=2.0))
    out_dim: Size = Field(65536, description="K, the number of prototypes")
    hidden_dim: Size = 2048
    bottleneck_dim: Size = 256
    head_layers: Few = 3
    head_batch_norm: bool = False
    student_temp: PositiveFloat = 0.1
    teacher_temp: PositiveFloat = 0.04
    teacher_temp_start: PositiveFloat = Field(0.04, description="teacher temperature at step 0 of its warm-up")
    teacher_temp_warmup_epochs: float = Field(0.0, ge=0)
    centre_momentum: float = Field(0.9, ge=0, lt=1)
    centre_init: Literal["zeros", "random"] = "zeros"
    prototype_init: Literal["normal", "uniform"] = Field(
        "normal", description="how prototypes start: normal with deviation 0.02 (their norm is 0.32 at 256 dimensions); uniform as a "
                              "linear layer of PyTorch and as in the original code (0.58)")
    teacher_momentum: float = Field(0.996, ge=0, le=1)
    teacher_momentum_end: float = Field(1.0, ge=0, le=1)
    freeze_last_layer_epochs: float = Field(1.0, ge=0)
    regularise: RegulariseConfig | None = Field(None, description="regularise the student's embeddings of the long views: off_diagonal, "
                                                "frobenius, rdino; null: none")
    positives: PositivesConfig | None = Field(None,
                                              description="how the long views of the teacher are chosen (ssps, oracle); null: from the "
                                                          "same utterance")
    evaluate: Literal["teacher", "student"] = "teacher"

    @property
    def prototypes(self) -> int:
        """K, by which the training log and the collapse watch judge the entropies."""
        return self.out_dim

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("teacher_temp_warmup_epochs", self.teacher_temp_warmup_epochs > 0, ("teacher_temp_start",))]

    @model_validator(mode="after")
    def _two_views(self):
        if not self.crops or sum(crop.count for crop in self.crops) < 2:
            raise ValueError("DINO needs at least two views; give crops such as [{count: 2, seconds: 4.0}]")
        if self.student_temp <= self.teacher_temp:
            raise ValueError(f"the teacher must be sharper than the student, but teacher_temp {self.teacher_temp} >= "
                             f"student_temp {self.student_temp}; lower teacher_temp")
        require_no_mask(self.positives, "DINO")
        return self


class _InBatch(Config):
    """Contrast within the batch of all ranks: which pairs attract each other is what the methods differ in.

    labelled_share  share of the training speakers whose labels are used (0: none; the draw of speakers is keyed by the seed)
    learn_scale     logits w * cosine + b, learnt from 1 / temperature and scale_bias on, instead of cosine / temperature
    """

    weights: ClassVar[tuple[str, ...]] = ("encoder", "projected")
    crops: tuple[Crop, ...] = PAIR
    projection: ProjectionConfig | None = None
    temperature: PositiveFloat = 0.07
    learn_scale: bool = False
    scale_bias: float = Field(-5.0, description="initial b, if w and b are learnt")
    evaluate: Literal["encoder", "projected"] = "encoder"

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("learn_scale: true", self.learn_scale, ("scale_bias",))]

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "in-batch contrast")
        return self


class SimclrConfig(_InBatch):
    """SimCLR (Chen et al. 2020): two views of a recording attract each other, all else in the batch repels (NT-Xent)."""

    name: Literal["simclr"] = "simclr"
    positives: PositivesConfig | None = Field(None,
                                              description="how positives are chosen (ssps, oracle); null: the other view of the same "
                                                          "utterance")


class SupconConfig(_InBatch):
    """SupCon (Khosla et al. 2020): all views of a speaker attract each other; recordings without a label, their own views."""

    name: Literal["supcon"] = "supcon"
    labelled_share: float = Field(1.0, gt=0, le=1)


class GclConfig(_InBatch):
    """Generalised contrastive loss (Inoue & Goto 2020): the affinity of a pair says how much it attracts, labelled or not.

    As in AP, b cancels in the softmax; it is kept since the papers have it.
    """

    name: Literal["gcl"] = "gcl"
    labelled_share: float = Field(0.15, ge=0, le=1)
    learn_scale: bool = True
    temperature: PositiveFloat = 0.1
    same_recording: NonNegativeFloat = Field(1.0, description="affinity of two views of one utterance")
    same_speaker: NonNegativeFloat = Field(1.0, description="affinity of two utterances that labels give one speaker")


class AngularConfig(Config):
    """Angular prototypical loss, with adversarial > 0 augmentation adversarial training (Huh et al. 2020, arXiv 2007.12085)."""

    weights: ClassVar[tuple[str, ...]] = ("encoder",)
    name: Literal["angular"] = "angular"
    crops: tuple[Crop, ...] = (Crop(count=2, seconds=1.8, layout="disjoint"),)
    scale: PositiveFloat = Field(10.0, description="initial w")
    bias: float = Field(-5.0, description="initial b")
    adversarial: NonNegativeFloat = Field(0.0, description="alpha, weight of the reversed gradient of the augmentation discriminator")
    hidden_dim: Size = Field(512, description="hidden units of the discriminator")
    evaluate: Literal["encoder"] = "encoder"

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("adversarial", self.adversarial > 0, ("hidden_dim",))]

    @model_validator(mode="after")
    def _layout(self):
        wanted = ("triplet", 3) if self.adversarial else ("disjoint", 2)
        first = self.crops[0] if self.crops else None
        if first is None or len(self.crops) > 1 or first.count != wanted[1] or (first.layout == "triplet") != bool(self.adversarial):
            raise ValueError(f"adversarial {self.adversarial:g} needs crops [{{count: {wanted[1]}, seconds: 1.8, layout: {wanted[0]}}}]")
        return self


class SiameseConfig(Config):
    """Simple Siamese network (Chen & He 2021) with the positive-pair regulariser SSReg (Sang et al. 2021); weight 0: without it."""

    weights: ClassVar[tuple[str, ...]] = ("encoder", "projected")
    name: Literal["siamese"] = "siamese"
    crops: tuple[Crop, ...] = PAIR
    hidden_dim: Size = 2048
    out_dim: Size = 512
    predictor_dim: Size = 512
    regulariser: NonNegativeFloat = Field(0.0, description="weight of SSReg")
    evaluate: Literal["encoder", "projected"] = "encoder"

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "a Siamese network")
        return self


class MocoDinoConfig(Config):
    """Multi-task C3-DINO (Zhang & Yu 2022, Table 2, system 5): one encoder under both losses. The crops are DINO's."""

    weights: ClassVar[tuple[str, ...]] = ("student", "teacher", "projected")
    name: Literal["moco+dino"] = "moco+dino"
    moco: MocoConfig = MocoConfig()
    dino: DinoConfig = DinoConfig()
    moco_weight: PositiveFloat = 1.0
    dino_weight: PositiveFloat = 1.0
    evaluate: Literal["teacher", "student", "projected"] = "teacher"

    @property
    def crops(self) -> tuple[Crop, ...]:
        return self.dino.crops

    @property
    def prototypes(self) -> int:
        return self.dino.prototypes

    @model_validator(mode="after")
    def _long_pair(self):
        if self.moco.crops != self.dino.crops[:1]:
            raise ValueError("moco+dino contrasts DINO's two long views; make moco.crops the first entry of dino.crops, with count 2")
        if self.moco.positives or self.dino.positives:
            raise ValueError("moco+dino takes ordinary positives; leave positives out, or train dino from a moco that has them")
        if self.evaluate == "projected" and self.moco.projection is None:
            raise ValueError("evaluate is projected, but moco.projection is null; choose teacher or student")
        return self


MethodConfig = Annotated[
    DinoConfig | SdpnConfig | SupervisedConfig | SimclrConfig | SupconConfig | GclConfig | AngularConfig | SiameseConfig | ByolConfig
    | VicregConfig | BarlowTwinsConfig | MocoConfig | MocoDinoConfig | CpcConfig | LimConfig | MaskedPredictionConfig | PaseConfig
    | VqWav2vecConfig | Wav2Vec2Config | DsvaeConfig | CdsvaeConfig, Field(discriminator="name")]


def reads_labels(config: Config) -> bool:
    """Whether the method learns from speaker labels, so that the index must hold them."""
    share = config.moco.labelled_share if config.name == "moco+dino" else getattr(config, "labelled_share", 0.0)
    return config.name == "supervised" or share > 0 or by_labels(config)


def learns_from_frames(config: Config) -> bool:
    """Whether the method learns from the frames of single crops, so that its loss on other recordings says how good it is."""
    return getattr(config, "frames", False)


def weights(config: Config) -> tuple[str, ...]:
    """The encoders that a recipe evaluates, the method's own choice first; none with a projection that is not there."""
    projection = config.moco.projection if config.name == "moco+dino" else getattr(config, "projection", True)
    names = [name for name in config.weights if projection or name != "projected"]
    return tuple(sorted(names, key=lambda name: name != config.evaluate))
