"""Options of probes on frozen embeddings (free of numpy, so that --help is quick)."""
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sslspk.config import Config, Size


class ProbeConfig(Config):
    """What steps/probe.sh trains. In this order: length normalisation, standardisation, PCA, the classifier.

    logistic    multinomial logistic regression
    linear_svm  one linear SVM per class against the rest; rbf_svm: Gaussian kernel, 1 / gamma = dimensions times variance. The
                posteriors of both come from their scores on held-out training speakers (Platt scaling over all classes)
    mlp         fully connected layers, Adam; with validation utterances (--valid) trained pass by pass until these get no better
    knn         the share of each class among the nearest neighbours by cosine
    plda        Kaldi's PLDA: each class enrols with all its embeddings, log-likelihood ratios become posteriors by softmax
    ridge       linear regression of a number, with alpha = 1 / C
    """

    classifier: Literal["logistic", "linear_svm", "rbf_svm", "mlp", "knn", "plda", "ridge"] = "logistic"
    length_norm: bool = Field(False, description="scale embeddings to length 1")
    standardise: bool = Field(True,
                              description="scale each dimension to mean 0 and variance 1 over the training part; false: only to mean 0")
    centre: bool = Field(True, description="subtract the mean of the training part; false: do not")
    pca: PositiveFloat | None = Field(None, description="number of dimensions (2, 3, ...), or the share of the variance to keep (0.99); "
                                                        "null: all; with plda, one for every ten training embeddings")
    balanced: bool = Field(True, description="all classes have equal weight, in training and in the choice of C; false: the weight of a "
                                             "class is its frequency")
    C: PositiveFloat | None = Field(None, description="logistic, SVMs, ridge: weight of the data against the penalty; null: the value of "
                                                      "`grid` with the best UA (accuracy, RMSE) on held-out training speakers; of equal "
                                                      "ones the smallest")
    grid: tuple[PositiveFloat, ...] = Field((1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0), min_length=1)
    folds: int = Field(5, ge=2, description="folds of the training speakers, to choose C and for the SVMs' posteriors")
    iterations: PositiveInt = Field(2000, description="logistic, linear_svm: most iterations; mlp: most passes over the training part")
    hidden: tuple[Size, ...] = Field((128,), min_length=1, description="mlp: widths of its layers")
    mlp_l2: NonNegativeFloat = Field(1e-3, description="mlp: penalty on the squares of its weights")
    activation: Literal["relu", "none"] = Field("relu", description="mlp: activation after each hidden layer; none: the layers stay linear")
    batch_size: Size = Field(200, description="mlp: embeddings per step")
    lr: PositiveFloat = Field(1e-3, description="mlp: learning rate")
    patience: PositiveInt | None = Field(None, description="mlp with --valid: passes without a lower loss there after which it stops; "
                                                           "null: all `iterations`")
    neighbours: Size = Field(10, description="knn: number of neighbours")
    plda_iterations: PositiveInt = 10
    plda_smoothing: NonNegativeFloat = Field(0.0, description="plda: this share of the between-class covariance is added to the "
                                                              "within-class one")
    seed: int = Field(0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.pca is not None and self.pca > 1 and self.pca != round(self.pca):
            raise ValueError(f"pca {self.pca:g} is neither a share of the variance up to 1 nor a whole number of dimensions")
        if not self.centre and (self.standardise or self.pca is not None or self.classifier == "plda"):
            raise ValueError("standardise, pca and plda subtract the mean; set centre: true, or standardise: false and no pca")
        return self

    @property
    def has_c(self) -> bool:
        """Whether the classifier has a C."""
        return self.classifier in ("logistic", "linear_svm", "rbf_svm", "ridge")

    @property
    def is_svm(self) -> bool:
        return self.classifier in ("linear_svm", "rbf_svm")

    @property
    def regression(self) -> bool:
        """Whether a number is predicted, not a class."""
        return self.classifier == "ridge"
