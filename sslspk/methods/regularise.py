"""Regularisers that keep the dimensions of embeddings uncorrelated, added to DINO's or SDPN's loss: dimension regularisation, and
RDINO's."""
import torch
from torch import Tensor, nn

from sslspk.encoders.projected import mlp
from sslspk.losses.dimension import correlation, covariance, frobenius, off_diagonal, variance_hinge
from sslspk.methods.base import Progress, require_others
from sslspk.methods.config_regularise import DimensionConfig, RdinoConfig
from sslspk.nn import comm
from sslspk.nn.schedules import linear_ramp


def of_all_ranks(views: Tensor) -> Tensor:
    """This rank's (V, B, D) -> (V, B of all ranks, D) with gradient. Raises InputError where all ranks together hold one recording."""
    everyone = comm.gather_with_gradient(views.transpose(0, 1).contiguous()).transpose(0, 1)
    require_others(everyone.shape[1])
    return everyone


class Regulariser(nn.Module):
    """forward(views (V, B, D)) -> its weighted terms, to add to the loss. Each view is judged for itself, in the batch of all ranks."""

    def __init__(self, config: DimensionConfig | RdinoConfig, embed_dim: int):
        super().__init__()
        self.config, self.expander = config, None
        if isinstance(config, RdinoConfig):
            self.expander = mlp((embed_dim, *config.expander.dims), config.expander.batch_norm)

    def forward(self, views: Tensor, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """(what to add to the loss, the terms to log, without their weights)."""
        cfg = self.config
        if self.expander is None:
            views, form = of_all_ranks(views), {"off_diagonal": off_diagonal, "frobenius": frobenius}[cfg.name]
            term = torch.stack([form(covariance(x) if cfg.of == "covariance" else correlation(x, x)) for x in views]).mean()
            return cfg.weight * term, {f"loss_{cfg.name}": term.detach()}
        views = of_all_ranks(self.expander(views.flatten(0, 1)).unflatten(0, views.shape[:2]))
        variance = torch.stack([variance_hinge(x) for x in views]).mean()
        redundancy = torch.stack([off_diagonal(covariance(x)) for x in views]).mean()
        weight = linear_ramp(progress.epochs, cfg.weight_start, cfg.weight, cfg.ramp_epochs)
        return (weight * (cfg.variance * variance + cfg.covariance * redundancy),
                {"loss_variance": variance.detach(), "loss_covariance": redundancy.detach()})


def regularised(out: dict[str, Tensor], regulariser: Regulariser | None, views: Tensor, progress: Progress) -> dict[str, Tensor]:
    """What a method's forward gives, with the regulariser's terms for its embeddings (V, B, D)."""
    if regulariser is None:
        return out
    extra, terms = regulariser(views, progress)
    return {**out, "loss": out["loss"] + extra, **terms}
