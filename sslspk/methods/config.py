"""Configuration of the methods (torch-free). Each model's `name` chooses the class in sslspk.methods.build."""
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from sslspk.config import Config
from sslspk.data.config import Crop


class DinoConfig(Config):
    """DINO for utterances (Cho et al. 2022; Zhang & Yu 2022). Defaults are those of Cho's LResNet34 recipe.

    The first entry of `crops` holds the long (global) views that teacher and student see, the others only the student sees.
    """

    name: Literal["dino"] = "dino"
    crops: tuple[Crop, ...] = (Crop(count=2, seconds=4.0), Crop(count=4, seconds=2.0))
    out_dim: PositiveInt = Field(65536, description="K, the number of prototypes")
    hidden_dim: PositiveInt = 2048
    bottleneck_dim: PositiveInt = 256
    head_layers: PositiveInt = 3
    head_batch_norm: bool = False
    student_temp: PositiveFloat = 0.1
    teacher_temp: PositiveFloat = 0.04
    teacher_temp_start: PositiveFloat = Field(0.04, description="teacher temperature at step 0 of its warm-up")
    teacher_temp_warmup_epochs: float = Field(0.0, ge=0)
    centre_momentum: float = Field(0.9, ge=0, lt=1)
    centre_init: Literal["zeros", "random"] = "zeros"
    teacher_momentum: float = Field(0.996, ge=0, le=1)
    teacher_momentum_end: float = Field(1.0, ge=0, le=1)
    freeze_last_layer_epochs: float = Field(1.0, ge=0)
    evaluate: Literal["teacher", "student"] = "teacher"

    @model_validator(mode="after")
    def _two_views(self):
        if not self.crops or sum(crop.count for crop in self.crops) < 2:
            raise ValueError("DINO needs at least two views; give crops such as [{count: 2, seconds: 4.0}]")
        if self.student_temp <= self.teacher_temp:
            raise ValueError(f"the teacher must be sharper than the student, but teacher_temp {self.teacher_temp} >= "
                             f"student_temp {self.student_temp}; lower teacher_temp")
        return self


class SupervisedConfig(Config):
    """Speaker classification with additive angular margin softmax (Deng et al. 2019); margin 0 is a cosine softmax."""

    name: Literal["supervised"] = "supervised"
    crops: tuple[Crop, ...] = (Crop(count=1, seconds=2.0),)
    scale: PositiveFloat = 30.0
    margin: float = Field(0.2, ge=0, lt=1.5, description="radians")
    margin_warmup_epochs: float = Field(0.0, ge=0)
    evaluate: Literal["encoder"] = "encoder"


MethodConfig = Annotated[DinoConfig | SupervisedConfig, Field(discriminator="name")]
