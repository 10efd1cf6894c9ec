"""KoLeo: spreads vectors over the sphere (Sablayrolles et al. 2019, arXiv 1806.03198, Eq. 2; DINOv2, Oquab et al. 2023)."""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import dots, wide

FLOOR = 1e-8   # of a distance: two equal vectors have a logarithm too


def koleo(x: Tensor) -> Tensor:
    """-mean over n of log(||x_n - its nearest neighbour|| + 1e-8) of (N, D), brought to length 1; N at least 2, of all ranks together."""
    x = F.normalize(wide(x), dim=1)
    with torch.no_grad():
        nearest = dots(x, x).fill_diagonal_(-2.0).argmax(1)   # a cosine is never that small
    return -torch.log(torch.linalg.vector_norm(x - x[nearest], dim=1) + FLOOR).mean()
