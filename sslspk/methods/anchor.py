"""The distance of a network to the weights that its training started from, kept small (Li et al. 2018, L2-SP, arXiv 1802.01483)."""
import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.losses.precision import wide
from sslspk.nn import comm


class Anchor(nn.Module):
    """The first weights of an encoder below its last layers. The two are a part of the state, so that a resume knows them."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        for number, weight in enumerate(below(encoder)):
            self.register_buffer(f"weight{number}", weight.detach().clone())

    @torch.no_grad()
    def take(self, encoder: Encoder) -> None:
        """Remember the weights as they are."""
        for kept, weight in zip(self.buffers(), below(encoder), strict=True):
            kept.copy_(weight)

    def distance(self, encoder: Encoder) -> Tensor:
        """sum_i (w_i - w_i at the start)^2, a scalar in float32, over the weights that are trained."""
        pairs = [(weight, kept) for weight, kept in zip(below(encoder), self.buffers(), strict=True) if weight.requires_grad]
        return sum(((wide(weight) - wide(kept)).square().sum() for weight, kept in pairs), torch.zeros((), device=self.weight0.device))


def below(encoder: Encoder) -> list[nn.Parameter]:
    """The weights of an encoder below its last layers."""
    above = {id(weight) for layer in encoder.last_layers for weight in layer.parameters()}
    return [weight for weight in encoder.parameters() if id(weight) not in above]


def balanced(loss: Tensor, distance: Tensor, weight: float) -> Tensor:
    """loss / |loss| + weight * distance / |distance|, what stands below the line without gradient and the mean of all ranks.

    So neither outgrows the other, however far the weights have gone (wavlm_ssl_sv's code). A distance of 0 adds nothing.
    """
    size = comm.mean_over_ranks(loss.detach()).abs().clamp_min(1e-12)
    far = distance.detach().clamp_min(1e-12)   # the same on all ranks
    return loss / size + weight * distance / far
