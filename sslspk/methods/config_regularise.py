"""Configuration of regularisers that keep the dimensions of embeddings uncorrelated (torch-free)."""
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from sslspk.config import Config
from sslspk.methods.config_moco import ProjectionConfig


class DimensionConfig(Config):
    """Dimension regularisation (arXiv 2505.13826) on the student's embeddings.

    name  off_diagonal  squares off the diagonal of their matrix, divided by the dimensions
          frobenius     ||C - I||_F^2, which also holds each variance at 1
    of    C is their covariance or their correlation
    The weight is our choice, the paper's is not known: sweep 0.01, 0.04, 0.1.
    """

    name: Literal["off_diagonal", "frobenius"] = "frobenius"
    of: Literal["covariance", "correlation"] = "covariance"
    weight: NonNegativeFloat = 0.04


class RdinoConfig(Config):
    """RDINO's regulariser (Chen et al. 2023): a hinge on each variance and the covariances, of an expander's output.

    The layers below the expander's 8192 dimensions are our choice.
    """

    name: Literal["rdino"] = "rdino"
    expander: ProjectionConfig = ProjectionConfig(hidden_dim=2048, out_dim=8192, layers=3)
    variance: NonNegativeFloat = 10.0
    covariance: NonNegativeFloat = 1.0
    weight: NonNegativeFloat = Field(0.2, description="weight of the sum, after its ramp")
    weight_start: NonNegativeFloat = 0.05
    ramp_epochs: NonNegativeFloat = 10.0


RegulariseConfig = Annotated[DimensionConfig | RdinoConfig, Field(discriminator="name")]
