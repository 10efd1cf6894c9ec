"""Options of clustering for pseudo-labels (torch-free)."""
import math
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from sslspk.config import Config


class ClusterConfig(Config):
    """What steps/cluster.sh does; sslspk/backend/clustering_schemes.py describes the methods."""

    method: Literal["kmeans", "kmeans_ahc", "cosine_ahc", "plda_ahc"] = "kmeans_ahc"
    seed: int = Field(0, ge=0)
    pca_share: float | None = Field(None, gt=0, le=1,
                                    description="PCA before clustering: keep the directions with this share of the variance")
    kmeans_clusters: int | None = Field(None, ge=2, description="run k-means first, with so many centroids; they are clustered in place "
                                                                "of the utterances")
    kmeans_share: float | None = Field(None, gt=0, lt=1, description="number of these centroids as a share of the utterances (0.25: N / 4)")
    kmeans_iterations: PositiveInt = Field(20, description="iterations of k-means, from centroids drawn at random")
    neighbours: int | None = Field(None, ge=2, le=1000, description="a point may merge only with so many nearest points; the memory then "
                                   "grows with the points, not with their pairs; null: no limit, above 50,000 points 30")
    clusters: int | None = Field(None, ge=2, description="number of clusters before the filters; kmeans: number of centroids")
    threshold: float | None = Field(None, description="merge down to this cosine similarity; kmeans_ahc: up to this Ward distance")
    plda_min_size: int = Field(8, ge=2, description="plda_ahc: clusters with fewer utterances are not used to train the PLDA")
    plda_max_size: int = Field(50, ge=2,
                               description="plda_ahc: at most this many utterances of each cluster, drawn at random, train the PLDA")
    plda_clusters: int | None = Field(None, ge=2, description="number of clusters of the second clustering of plda_ahc")
    plda_threshold: float | None = Field(None, description="plda_ahc: merge clusters down to this log-likelihood ratio")
    min_size: PositiveInt | None = Field(None, description="after clustering: clusters with fewer utterances are left out")
    max_size: PositiveInt | None = Field(None, description="at most so many utterances of each cluster, those nearest to its mean")

    @model_validator(mode="after")
    def _fits(self) -> "ClusterConfig":
        if (self.clusters is None) == (self.threshold is None):
            raise ValueError("give either clusters or threshold")
        if self.method == "kmeans" and (self.clusters is None or self.kmeans):
            raise ValueError("kmeans takes clusters, and neither threshold nor kmeans_clusters nor kmeans_share")
        if self.kmeans_clusters is not None and self.kmeans_share is not None:
            raise ValueError("give kmeans_clusters or kmeans_share, not both")
        if self.method == "kmeans_ahc" and self.kmeans_clusters is None and self.kmeans_share is None:
            raise ValueError("kmeans_ahc needs kmeans_clusters or kmeans_share")
        second = sum(value is not None for value in (self.plda_clusters, self.plda_threshold))
        if second != (self.method == "plda_ahc"):
            raise ValueError("plda_ahc takes either plda_clusters or plda_threshold" if self.method == "plda_ahc" else
                             f"plda_clusters and plda_threshold are not for {self.method}; remove them")
        for low, high in (("min_size", "max_size"), ("plda_min_size", "plda_max_size")):
            if (getattr(self, low) or 1) > (getattr(self, high) or math.inf):
                raise ValueError(f"{high} must not be below {low}")
        if self.kmeans_clusters and max(self.clusters or 0, self.plda_clusters or 0) > self.kmeans_clusters:
            raise ValueError("clusters must not be more than kmeans_clusters")
        return self

    def points(self, utterances: int) -> int:
        """How many points the clusters are made of: centroids of k-means, or utterances where none goes first."""
        if self.kmeans_share is not None:
            return math.ceil(self.kmeans_share * utterances)
        return self.kmeans_clusters or utterances

    @property
    def kmeans(self) -> bool:
        """Whether k-means comes before the agglomerative clustering."""
        return self.kmeans_clusters is not None or self.kmeans_share is not None
