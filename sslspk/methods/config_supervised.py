"""Configuration of training with speaker labels or pseudo-labels (torch-free)."""
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop


class GateConfig(Config):
    """A gate for labels that are clusters: only recordings with a loss below the gate are learnt from.

    kind     fixed: the gate is `threshold` (loss-gated learning, Tao et al. 2022)
             dynamic: each epoch two Gaussians are fitted to the logarithms of the last epoch's losses, and the gate is where their
             weighted densities cross between the means (Han et al. 2022, DLG-LC, arXiv 2208.01928); where they do not, all pass
    correct  from `correct_epochs` on a recording above the gate learns the class that the network sees in its clean view, where it sees one
             with `correct_confidence` (softmax of the cosines divided by `correct_temperature`). Needs a clean crop: the
             last of method.crops, {count: 1, seconds: 2.0, clean: true}; null: never
    correct_growth  how many recordings of other classes a class may take, as a multiple of its own (ours). Without it a few classes may
             swallow all: from clusters of purity 0.34 they did; null: any number, as in the paper
    """

    kind: Literal["dynamic", "fixed"] = "dynamic"
    threshold: PositiveFloat = Field(1.0, description="fixed: the largest loss that counts")
    least_believed: float = Field(0.0, ge=0, le=1, description="at least this share of the utterances passes the gate (ours)")
    start_epochs: NonNegativeFloat = Field(5.0, description="epochs before which all utterances count")
    correct_epochs: NonNegativeFloat | None = None
    correct_temperature: PositiveFloat = 0.1
    correct_confidence: float = Field(0.5, ge=0, lt=1)
    correct_growth: PositiveFloat | None = None

    def branches(self, whole: Config) -> list[Branch]:
        correct = ("correct_temperature", "correct_confidence", "correct_growth")
        return [Branch("kind: fixed", self.kind == "fixed", ("threshold",)),
                Branch("correct_epochs", self.correct_epochs is not None, correct)]

    @model_validator(mode="after")
    def _in_turn(self):
        if self.correct_epochs is not None and self.correct_epochs < self.start_epochs:
            raise ValueError(f"labels are corrected above the gate, but correct_epochs {self.correct_epochs:g} is before start_epochs "
                             f"{self.start_epochs:g}; raise correct_epochs")
        return self


class RelabelConfig(Config):
    """Labels that are renewed while training, from clusters on (SSRL: Cai et al. 2024, arXiv 2401.01473, known by its abstract).

    A teacher, the moving average of the network, sees the clean view of each recording (the last of method.crops) and names its class.
    What a recording learns is the class that most of its last `queue` labels are; before `start_epochs` these are the clusters. From
    then on two Gaussians are fitted to the logarithms of the losses each epoch, and a recording counts as much as it is likely
    that its loss is of the lower one.
    """

    start_epochs: NonNegativeFloat = 5.0
    queue: Few = Field(5, description="number of an utterance's last labels that vote")
    growth: PositiveFloat | None = Field(1.0, description="how many utterances of other clusters a class may take, as a multiple of its "
                                         "own (ours): without a limit, a few classes may absorb everything; null: no limit")
    teacher_momentum: float = Field(0.999, ge=0, le=1)
    teacher_momentum_end: float = Field(1.0, ge=0, le=1)


class NearStartConfig(Config):
    """A penalty on the distance of the encoder's weights, without its last layers, from their initial values.

    Known from Miara et al. 2024 (arXiv 2406.02285), whose code brings both terms to the same size.
    """

    weight: PositiveFloat = 0.01
    balanced: bool = Field(True, description="divide loss and squared distance by their present values; false: leave them as they are")


class SupervisedConfig(Config):
    """Classification of speakers, or of what data.labels names.

    loss  aam       additive angular margin softmax (Deng et al. 2019); margin 0 is a cosine softmax
          am        additive margin softmax (Wang et al. 2018)
          softmax   logits and cross-entropy; scale, margins and sub-centres do not apply
    """

    weights: ClassVar[tuple[str, ...]] = ("encoder",)
    name: Literal["supervised"] = "supervised"
    crops: tuple[Crop, ...] = Field((Crop(count=1, seconds=2.0),), min_length=1)
    loss: Literal["aam", "am", "softmax"] = "aam"
    hidden_dims: tuple[Size, ...] = Field((), description="affine layers between embedding and classifier; x-vector: [512]")
    hidden: Literal["xvector", "relu", "linear"] = Field("xvector", description="xvector: ReLU and BatchNorm before each of them and "
                                                         "before the classifier; relu: ReLU behind each; linear: neither")
    scale: PositiveFloat = 30.0
    margin: float = Field(0.2, ge=0, lt=1.5, description="margin in radians")
    margin_warmup_epochs: float = Field(0.0, ge=0)
    sub_centres: Few = Field(1, description="centres per class; more leave room for wrong labels (Deng et al. 2020)")
    inter_margin: float = Field(0.0, ge=0, lt=1.5, description="margin in radians that brings the hardest other classes nearer")
    inter_top_k: Size = Field(5, description="number of other classes that inter_margin brings nearer")
    gate: GateConfig | None = Field(None, description="gate for pseudo-labels; null: learn from all labels")
    relabel: RelabelConfig | None = Field(None, description="renewal of pseudo-labels; null: labels do not change")
    near_start: NearStartConfig | None = Field(None, description="penalty on the distance from the initial weights, for pre-trained "
                                                                 "encoders; null: none")
    evaluate: Literal["encoder"] = "encoder"

    @property
    def reads_clean(self) -> bool:
        """Whether the last crop is a clean view that says which labels are right."""
        return self.corrects or self.relabel is not None

    @property
    def corrects(self) -> bool:
        """Whether the gate corrects labels by a clean view."""
        return self.gate is not None and self.gate.correct_epochs is not None

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("margin", self.margin > 0, ("margin_warmup_epochs",)),
                Branch("loss: aam or am", self.loss != "softmax", ("scale", "margin", "margin_warmup_epochs")),
                Branch("inter_margin", self.inter_margin > 0, ("inter_top_k",)),
                Branch("hidden_dims", bool(self.hidden_dims), ("hidden",))]

    @model_validator(mode="after")
    def _of_the_loss(self):
        if self.loss != "aam" and self.inter_margin:
            raise ValueError(f"inter_margin belongs to loss aam, not {self.loss}; set it to 0")
        if self.loss == "softmax" and (self.sub_centres > 1 or self.corrects):
            raise ValueError("sub_centres and gate.correct_epochs work with cosines; use loss aam or am")
        return self

    @model_validator(mode="after")
    def _clean_view(self):
        last = self.crops[-1]
        if self.gate and self.relabel:
            raise ValueError("gate and relabel are two ways to doubt labels; set one of them to null")
        if self.reads_clean and not (len(self.crops) > 1 and last.clean and last.count == 1):
            who = "relabel" if self.relabel else "gate.correct_epochs"
            raise ValueError(f"{who} needs a clean view as the last of crops; give for instance "
                             "[{count: 1, seconds: 2.0}, {count: 1, seconds: 2.0, clean: true}]")
        return self
