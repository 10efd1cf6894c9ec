"""Configuration of SDPN (torch-free)."""
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sslspk.config import Config, Few, Size
from sslspk.data.config import Crop
from sslspk.methods.config_positives import PositivesConfig, require_no_mask
from sslspk.methods.config_regularise import RegulariseConfig


class SdpnConfig(Config):
    """SDPN (Chen et al. 2025, arXiv 2308.02774). Defaults are those of its authors' recipe (3D-Speaker, egs/voxceleb/sv-sdpn).

    The first entry of `crops` is the one view that the teacher sees, as a rule a clean one; the student sees the others only.
    """

    weights: ClassVar[tuple[str, ...]] = ("teacher", "student")
    name: Literal["sdpn"] = "sdpn"
    crops: tuple[Crop, ...] = (Crop(count=1, seconds=4.0, clean=True), Crop(count=4, seconds=2.0))
    prototypes: int = Field(1024, ge=2, le=10_000_000, description="K, the number of prototypes")
    hidden_dim: Size = 2048
    bottleneck_dim: Size = 256
    head_layers: Few = 3
    head_batch_norm: bool = True
    student_temp: PositiveFloat = 0.1
    sharpen: float = Field(0.25, gt=0, le=1, description="T: the target is the teacher's distribution to the power 1 / T")
    sinkhorn_iterations: int = Field(3, ge=0, le=1000,
                                     description="Sinkhorn iterations, which balance the targets over the prototypes; 0: none")
    me_max: NonNegativeFloat = Field(1.0, description="weight of the entropy of the mean distribution")
    koleo: NonNegativeFloat = Field(0.1, description="weight of the spread of the embeddings")
    regularise: RegulariseConfig | None = Field(None,
                                                description="regularise the student's embeddings: off_diagonal, frobenius, rdino; null: "
                                                            "none")
    positives: PositivesConfig | None = Field(None,
                                              description="how the teacher's view is chosen (ssps, oracle); null: from the same utterance")
    teacher_momentum: float = Field(0.996, ge=0, le=1)
    teacher_momentum_end: float = Field(1.0, ge=0, le=1)
    evaluate: Literal["teacher", "student"] = "teacher"

    @model_validator(mode="after")
    def _teacher_and_student(self):
        if len(self.crops) < 2 or self.crops[0].count != 1:
            raise ValueError("SDPN's teacher sees one view and its student others; give crops such as "
                             "[{count: 1, seconds: 4.0, clean: true}, {count: 4, seconds: 2.0}]")
        require_no_mask(self.positives, "SDPN")
        return self
