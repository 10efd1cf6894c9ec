"""Configuration of methods that compare two views of a recording with each other alone: no negatives, no prototypes (torch-free)."""
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from sslspk.config import Config, Size
from sslspk.data.config import Crop
from sslspk.methods.config_moco import ProjectionConfig, require_two_views

PAIR = (Crop(count=2, seconds=2.0),)
WIDE = ProjectionConfig(hidden_dim=8192, out_dim=8192, layers=3)


class VicregConfig(Config):
    """VICReg (Bardes et al. 2022, arXiv 2105.04906): views agree, every dimension varies, no two of them together."""

    weights: ClassVar[tuple[str, ...]] = ("encoder", "projected")
    name: Literal["vicreg"] = "vicreg"
    crops: tuple[Crop, ...] = PAIR
    projection: ProjectionConfig | None = WIDE
    invariance: NonNegativeFloat = Field(25.0, description="weight of the mean squared difference of the views")
    variance: NonNegativeFloat = Field(25.0, description="weight of the hinge on each dimension's deviation, of both views")
    covariance: NonNegativeFloat = Field(1.0, description="weight of the squared covariances, of both views")
    evaluate: Literal["encoder", "projected"] = "encoder"

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "VICReg")
        return self


class BarlowTwinsConfig(Config):
    """Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230): the correlation of the dimensions of one view with the other's is I."""

    weights: ClassVar[tuple[str, ...]] = ("encoder", "projected")
    name: Literal["barlow_twins"] = "barlow_twins"
    crops: tuple[Crop, ...] = PAIR
    projection: ProjectionConfig | None = WIDE
    redundancy: NonNegativeFloat = Field(0.005, description="lambda, weight of the elements off the diagonal")
    evaluate: Literal["encoder", "projected"] = "encoder"

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "Barlow Twins")
        return self


class ByolConfig(Config):
    """BYOL (Grill et al. 2020, arXiv 2006.07733): a Siamese network whose targets come from a teacher, the student's moving average."""

    weights: ClassVar[tuple[str, ...]] = ("student", "teacher")
    name: Literal["byol"] = "byol"
    crops: tuple[Crop, ...] = PAIR
    projection: ProjectionConfig = ProjectionConfig(hidden_dim=4096, out_dim=256)
    predictor_dim: Size = 4096
    teacher_momentum: float = Field(0.996, ge=0, le=1)
    teacher_momentum_end: float = Field(1.0, ge=0, le=1)
    evaluate: Literal["student", "teacher"] = "student"

    @model_validator(mode="after")
    def _pairs(self):
        require_two_views(self, "BYOL")
        return self
