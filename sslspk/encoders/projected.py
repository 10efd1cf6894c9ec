"""An encoder with an MLP projection on top; where the losses of a method act on the projection, it may be the embedding too."""
import itertools

from torch import Tensor, nn

from sslspk.encoders.base import Encoder


def mlp(dims: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    """Linear layers between the dimensions, ReLU (after BatchNorm) between them and nothing after the last."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(dims)):
        last = i == len(dims) - 2
        layers.append(nn.Linear(a, b))
        if not last:
            layers += [nn.BatchNorm1d(b), nn.ReLU(inplace=True)] if batch_norm else [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def projected(encoder: Encoder, projection) -> "Projected":
    """The encoder with the MLP that a ProjectionConfig describes on it; None: with none."""
    return Projected(encoder, projection.dims, projection.batch_norm) if projection else Projected(encoder, (), False)


def by_name(network: "Projected") -> dict[str, nn.Module]:
    """What extraction may use of a network: its encoder and, where there is a projection, the whole."""
    return {"encoder": network.encoder, "projected": network} if network.dims else {"encoder": network.encoder}


class Projected(nn.Module):
    """forward(x): (B, T, F) -> (B, P). dims: what the projector's layers give, (hidden, ..., P); none: the embedding as it is.

    pooled: what is projected, "embedding" or (FrameMean) "frames".
    """

    pooled = "embedding"

    def __init__(self, encoder: Encoder, dims: tuple[int, ...], batch_norm: bool):
        super().__init__()
        self.encoder, self.dims, self.batch_norm = encoder, dims, batch_norm
        self.projector = mlp((encoder.embed_dim, *dims), batch_norm)
        self.embed_dim = (encoder.embed_dim, *dims)[-1]

    def frames(self, x: Tensor) -> Tensor:
        return self.encoder.frames(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.projector(self.encoder(x))


class FrameMean(Projected):
    """forward(x): (B, T, F) -> (B, C), the mean over time of the encoder's frames in place of its embedding. channels: C."""

    pooled = "frames"

    def __init__(self, encoder: Encoder, channels: int):
        super().__init__(encoder, (), False)
        self.embed_dim = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.frames(x).mean(1)
