"""Configuration of MoCo, its class-collision correction and its prototypes (torch-free)."""
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop
from sslspk.methods.config_positives import PositivesConfig


class ProjectionConfig(Config):
    """MLP on the encoder: Linear, BatchNorm, ReLU, Linear; its L2-normalised output is what the loss compares."""

    hidden_dim: Size = 512
    out_dim: Size = 512
    layers: Few = 2
    batch_norm: bool = True

    @property
    def dims(self) -> tuple[int, ...]:
        return (*[self.hidden_dim] * (self.layers - 1), self.out_dim)


class ReweightConfig(Config):
    """Re-weighted InfoNCE (Zhang & Yu 2022, Eq. 2-5). The omegas are our choice: the paper's are not known.

    A false negative is suspected if a key of the queue is more similar to the anchor than `ratio` times the anchor's own key, and the
    similarity to the own key is above `floor`.
    """

    ratio: PositiveFloat = 0.8
    floor: float = 0.4
    true_weight: NonNegativeFloat = Field(1.0, description="omega 1, weight of anchors without a suspected false negative")
    false_weight: NonNegativeFloat = Field(0.5,
                                           description="omega 2, weight of anchors with a suspected false negative; 1 is plain MoCo, 0 "
                                                       "drops them")
    start_epoch: NonNegativeFloat = 0.0


class ProtoConfig(Config):
    """ProtoNCE (Li et al. 2021; Xia et al. 2021; Zhang & Yu 2022): prototypes from k-means over the whole training set, each epoch."""

    clusters: tuple[Size, ...] = Field((5000,), min_length=1,
                                       description="number of clusters; with several numbers the losses are averaged")
    weight: NonNegativeFloat = Field(0.25, description="alpha, weight of ProtoNCE")
    start_epoch: NonNegativeFloat = 0.0
    every_epochs: PositiveInt = Field(1, description="epochs between two clusterings")
    iterations: PositiveInt = Field(20, description="iterations of k-means")
    init: Literal["kmeans++", "random"] = "kmeans++"
    epsilon: PositiveFloat = Field(10.0, description="smooths the density of small clusters")


class QueueProtoConfig(Config):
    """Queue-based ProtoNCE (Peng et al. 2022): prototypes from the queue, as many as it shows speakers. Figures and the way to count
    (sslspk/nn/count.py) are ours.

    A count needs two keys a speaker among those looked at, and embeddings of some 20 % EER or better; else keys_per_cluster decides.
    """

    weight: NonNegativeFloat = 0.25
    start_epoch: NonNegativeFloat = 0.0
    refresh_steps: PositiveInt = Field(50, description="steps between two clusterings of the queue")
    min_clusters: int = Field(2, ge=2, description="fewest prototypes; a tenth of `sample` if no speaker has more than ten of the keys")
    max_clusters: Size = Field(1000, ge=2)
    sample: Size = Field(2048, ge=10, description="queue entries from which the number of speakers is estimated")
    keys_per_cluster: PositiveInt = Field(4, description="keys for each prototype, if the number of speakers cannot be estimated")
    iterations: PositiveInt = 10

    @model_validator(mode="before")
    @classmethod
    def _forget(cls, tree):
        """Configurations of earlier versions say of how many `neighbours` the affinity was made, which is not needed any more."""
        return {key: value for key, value in tree.items() if key != "neighbours"} if isinstance(tree, dict) else tree

    @model_validator(mode="after")
    def _bounds(self):
        if self.min_clusters > self.max_clusters:
            raise ValueError(f"queue_proto.min_clusters {self.min_clusters} is more than max_clusters {self.max_clusters}; lower it")
        return self


class MocoConfig(Config):
    """MoCo (He et al. 2020) for utterances (Xia et al. 2021; Zhang & Yu 2022), and with `reweight` and `proto` C3-MoCo.

    batch_norm_group: BatchNorm sees groups of this many recordings, whatever the number of ranks, and keys are shuffled among
    the groups, so that a query cannot recognise its key by the statistics of its group.
    labelled_share: MoCo + SupCon (Xia et al. 2021), with the labels of this share of the speakers.
    """

    weights: ClassVar[tuple[str, ...]] = ("projected", "query", "key")
    name: Literal["moco"] = "moco"
    crops: tuple[Crop, ...] = (Crop(count=2, seconds=4.0),)
    projection: ProjectionConfig | None = ProjectionConfig()
    temperature: PositiveFloat = 0.07
    queue_size: Size = 10000
    momentum: float = Field(0.999, ge=0, le=1, description="momentum of the key encoder's moving average")
    symmetric: bool = Field(False, description="each view is query once and key once")
    batch_norm_group: int = Field(32, ge=2)
    reweight: ReweightConfig | None = None
    proto: ProtoConfig | None = None
    queue_proto: QueueProtoConfig | None = None
    positives: PositivesConfig | None = Field(None,
                                              description="how positives are chosen (ssps, oracle); null: the other view of the same "
                                                          "utterance")
    labelled_share: float = Field(0.0, ge=0, le=1)
    supcon_weight: NonNegativeFloat = Field(1.0, description="weight of SupCon, if labelled_share > 0")
    evaluate: Literal["projected", "query", "key"] = "projected"

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("labelled_share", self.labelled_share > 0, ("supcon_weight",))]

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "MoCo")
        if self.queue_proto and self.queue_proto.max_clusters > self.queue_size:
            raise ValueError(f"queue_proto.max_clusters {self.queue_proto.max_clusters} is more than queue_size {self.queue_size}; "
                             "lower it")
        return self


def require_two_views(config: Config, who: str) -> None:
    """ValueError unless the only crop has two views and the evaluated embedding exists."""
    if len(config.crops) != 1 or config.crops[0].count != 2:
        raise ValueError(f"{who} compares two views; give crops such as [{{count: 2, seconds: 2.0}}]")
    if getattr(config, "projection", True) is None and config.evaluate == "projected":
        raise ValueError("evaluate is projected, but projection is null; choose another of the encoders")
