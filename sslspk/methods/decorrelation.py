"""VICReg (Bardes et al. 2022) and Barlow Twins (Zbontar et al. 2021): views agree, while the dimensions of a batch stay uncorrelated.

They need neither negatives nor a teacher: collapse is prevented because each dimension has to vary.
"""
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import by_name, projected
from sslspk.losses.dimension import correlation, covariance, off_diagonal, variance_hinge
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config_pairs import BarlowTwinsConfig, VicregConfig
from sslspk.methods.regularise import of_all_ranks
from sslspk.nn import monitors


class Decorrelation(Method):
    """Both losses are of the batch of all ranks. Logged: their terms without weights."""

    def __init__(self, config: VicregConfig | BarlowTwinsConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.network = projected(new_encoder(), config.projection)

    def encoders(self) -> dict[str, nn.Module]:
        return by_name(self.network)

    def backbones(self) -> list[nn.Module]:
        return [self.network.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        z = wide(self.network(batch.views[0].flatten(0, 1)))
        views = of_all_ranks(z.unflatten(0, (2, -1)))
        terms = self._vicreg(*views) if isinstance(self.config, VicregConfig) else self._barlow_twins(*views)
        out = {"loss": sum(weight * term for weight, term in terms.values()), **{key: term.detach() for key, (_, term) in terms.items()}}
        if progress.log:
            out.update(monitors.of_pairs(*z.detach().chunk(2)))
        return out

    def _vicreg(self, a: Tensor, b: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Eq. 6. The invariance is the mean over the dimensions too, as in the authors' code."""
        cfg = self.config
        return {"loss_invariance": (cfg.invariance, F.mse_loss(a, b)),
                "loss_variance": (cfg.variance, variance_hinge(a) + variance_hinge(b)),
                "loss_covariance": (cfg.covariance, off_diagonal(covariance(a)) + off_diagonal(covariance(b)))}

    def _barlow_twins(self, a: Tensor, b: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Eq. 1."""
        c = correlation(a, b)
        return {"loss_invariance": (1.0, (1 - c.diagonal()).square().sum()),
                "loss_redundancy": (self.config.redundancy, len(c) * off_diagonal(c))}
