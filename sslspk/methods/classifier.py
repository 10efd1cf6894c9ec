"""The last layers of a classifier: from embeddings to one score per class."""
import torch
from torch import Tensor, nn

from sslspk.losses.aam import class_cosines
from sslspk.losses.precision import wide
from sslspk.methods.config_supervised import SupervisedConfig


class Classifier(nn.Module):
    """Embeddings (B, D) -> scores (B, classes): cosines with each class's nearest centre, or logits (linear).

    scale: factor on cosines for posteriors. hidden_dims: widths of affine layers before it. hidden: xvector, ReLU and BatchNorm (no scale)
    before each affine layer, as in Kaldi's x-vector network above the layer that gives the embedding; relu, a ReLU behind each; linear.
    """

    def __init__(self, embed_dim: int, classes: int, linear: bool = False, centres: int = 1,
                 hidden_dims: tuple[int, ...] = (), scale: float = 30.0, hidden: str = "xvector"):
        super().__init__()
        self.linear, self.centres, self.scale, dim = linear, centres, scale, embed_dim
        layers: list[nn.Module] = []
        for width in hidden_dims:
            before = [nn.ReLU(), nn.BatchNorm1d(dim, affine=False)] if hidden == "xvector" else []
            layers += [*before, nn.Linear(dim, width), *([nn.ReLU()] if hidden == "relu" else [])]
            dim = width
        if hidden_dims and hidden == "xvector":
            layers += [nn.ReLU(), nn.BatchNorm1d(dim, affine=False)]
        self.hidden = nn.Sequential(*layers)
        self.weight = nn.Parameter(torch.empty(classes * centres, dim))
        nn.init.xavier_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(classes)) if linear else None

    def forward(self, embedding: Tensor) -> Tensor:
        x = self.hidden(embedding)
        if not self.linear:
            return class_cosines(x, self.weight, self.centres)
        with torch.autocast(x.device.type, enabled=False):
            return nn.functional.linear(wide(x), wide(self.weight), self.bias)

    def log_posteriors(self, embedding: Tensor) -> Tensor:
        """(B, D) -> (B, classes): logarithms that sum to 1 over classes; margins are training's matter and left out."""
        scores = self(embedding)
        return (scores if self.linear else self.scale * scores).log_softmax(1)


def build(config: SupervisedConfig, embed_dim: int, classes: int) -> Classifier:
    """The classifier of a configuration."""
    return Classifier(embed_dim, classes, config.loss == "softmax", config.sub_centres, config.hidden_dims, config.scale,
                      config.hidden)
