"""Configuration of positives from other recordings (torch-free)."""
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from sslspk.config import Config, Seconds, Size
from sslspk.data.config import Crop


class SspsConfig(Config):
    """Positives from another recording that is thought to be of the same speaker (SSPS, Lepage & Dehak 2025).

    At the start of each epoch the references of all recordings are clustered. A positive is drawn from the queue, among the
    recordings of one of the `neighbours` nearest clusters; without any there the ordinary one, of the same recording, stays.
    With augment.speed_perturb it is one that was played at the anchor's speed, as another speed is another voice.
    """

    name: Literal["ssps"] = "ssps"
    clusters: Size = Field(25000, description="K of k-means; with about four of them a speaker, each holds one recording session")
    neighbours: int = Field(1, ge=0, le=1000, description="M, nearest other clusters to draw from; 0: the utterance's own cluster")
    iterations: PositiveInt = Field(10, description="iterations of k-means")
    queue_size: Size = Field(25000, description="number of the last utterances' positives, from which substitutes are drawn")
    start_epoch: NonNegativeInt = Field(0, description="first epoch with substitutes; references are gathered in the one before, or in "
                                                       "a pass over the training set where this is 0")
    seconds: Seconds = Field(4.0, description="length of the reference view, which has no augmentation "
                                                     "and its own speed")
    keep: float = Field(1.0, gt=0, le=1, description="share of the substitutes that are used, those whose references are closest to the "
                                                     "anchor's; our addition, 1: all, as in the paper")
    mask_negatives: bool = Field(False, description="do not use other utterances of the anchor's cluster and its neighbours as negatives")

    @property
    def crops(self) -> tuple[Crop, ...]:
        """The view that the loader adds to the method's own."""
        return (Crop(count=1, seconds=self.seconds, clean=True, own_speed=True),)

    @model_validator(mode="after")
    def _neighbours_are_others(self):
        if self.neighbours >= self.clusters:
            raise ValueError(f"neighbours {self.neighbours} are as many as clusters {self.clusters}, or more; lower them")
        return self


class OracleConfig(Config):
    """Positives from another recording of the same speaker (and speed), by the labels: an upper bound for SSPS. Not self-supervised."""

    name: Literal["oracle"] = "oracle"
    queue_size: Size = Field(25000, description="number of the last utterances' positives, from which substitutes are drawn")
    start_epoch: NonNegativeInt = 0
    crops: ClassVar[tuple[Crop, ...]] = ()
    mask_negatives: ClassVar[bool] = False


PositivesConfig = Annotated[SspsConfig | OracleConfig, Field(discriminator="name")]


def drawn_crops(config: Config) -> tuple[Crop, ...]:
    """What the loader must yield for a method: its own crops, and the reference view of its positives."""
    positives = getattr(config, "positives", None)
    return (*config.crops, *(positives.crops if positives else ()))


def by_labels(config: Config) -> bool:
    """Whether a method's positives are chosen by speaker labels."""
    positives = getattr(config, "positives", None)
    return positives is not None and positives.name == "oracle"


def require_no_mask(positives: SspsConfig | OracleConfig | None, who: str) -> None:
    """ValueError where negatives are masked of a method that has none."""
    if positives and positives.mask_negatives:
        raise ValueError(f"positives.mask_negatives is for contrastive losses, and {who} has no negatives; leave it out")
