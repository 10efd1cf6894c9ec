"""Configuration of the trained back-ends (free of numpy, so that --help is quick)."""
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sslspk.config import Config


class BackendConfig(Config):
    """What happens to embeddings before they are compared. Defaults are those of Kaldi's egs/voxceleb, whose PLDA sees 200 dimensions.

    In this order: the mean is subtracted; whitening; PCA; LDA; length normalisation; PLDA.
    pca  a number of dimensions (2, 3, ...), or the share of the variance to keep (0.99)
    lda  kaldi: ivector-compute-lda, which mixes within- and total covariance; classical: the generalised eigenvectors of the two
    """

    whiten: bool = False
    pca: PositiveFloat | None = None
    lda: Literal["kaldi", "classical", "none"] = "kaldi"
    lda_dim: PositiveInt = Field(200, description="dimensions after LDA; limited to the number of dimensions before it, and to the number "
                                                  "of speakers less one")
    total_covariance_factor: float = Field(0.0, ge=0, le=1,
                                           description="Kaldi's LDA: share of the total covariance in the matrix that is whitened")
    length_norm: Literal["kaldi", "unit", "none"] = Field("kaldi", description="scale to length sqrt(dimensions) (kaldi) or 1 (unit)")
    plda: Literal["two_covariance", "simplified", "none"] = "two_covariance"
    plda_iterations: PositiveInt = 10
    plda_dim: PositiveInt = Field(100, description="plda: simplified: dimensions of the speaker subspace")
    plda_smoothing: NonNegativeFloat = Field(0.0, description="Kaldi's --smoothing: this share of the between-class covariance is added "
                                                              "to the within-class one")
    min_utterances: PositiveInt = Field(1, description="speakers with fewer utterances than this are left out")
    max_utterances: PositiveInt | None = Field(None, description="at most so many utterances of a speaker, drawn at random; null: all")
    seed: int = Field(0, ge=0, description="seed of the draw of these utterances")

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.pca is not None and self.pca > 1 and self.pca != round(self.pca):
            raise ValueError(f"pca {self.pca:g} is neither a share of the variance up to 1 nor a whole number of dimensions")
        if self.max_utterances is not None and self.max_utterances < self.min_utterances:
            raise ValueError(f"max_utterances {self.max_utterances} is below min_utterances {self.min_utterances}; raise it")
        return self

    @property
    def reads_labels(self) -> bool:
        return self.lda != "none" or self.plda != "none"
