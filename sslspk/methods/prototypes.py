"""Prototype banks: centres of clusters of recordings with their densities, for ProtoNCE. All of a bank is state."""
import torch
from torch import Tensor, nn

from sslspk.losses.precision import dots
from sslspk.losses.prototypes import density, proto_nce
from sslspk.methods.config_moco import QueueProtoConfig
from sslspk.nn import comm
from sslspk.nn.count import count_clusters
from sslspk.nn.kmeans import kmeans
from sslspk.nn.queue import KeyQueue


class PrototypeBank(nn.Module):
    """`size` prototypes of a training set of `recordings` (Li et al. 2021; Xia et al. 2021; Zhang & Yu 2022).

    centroids (K, P) unit vectors, phi (K,) densities, assignment (recordings,): each recording's cluster, -1 before the first fit.
    """

    def __init__(self, size: int, dim: int, recordings: int):
        super().__init__()
        self.size = size
        self.register_buffer("centroids", torch.zeros(size, dim))
        self.register_buffer("phi", torch.ones(size))
        self.register_buffer("assignment", torch.full((recordings,), -1, dtype=torch.int64))

    @torch.no_grad()
    def fit(self, points: Tensor, units: Tensor, *, iterations: int, init: str, epsilon: float, temperature: float, seed: int) -> Tensor:
        """Cluster this rank's points (n, P) of the recordings `units` (n,), together with the other ranks'; (n,) their clusters."""
        found = kmeans(points, self.size, index=units, iterations=iterations, init=init, spherical=True, seed=seed)
        self.centroids.copy_(found.centroids)
        self.phi.copy_(density(found.distance_sum, found.count, temperature, epsilon))
        mine = torch.full_like(self.assignment, -1)
        mine[units] = found.assignment
        self.assignment.copy_(comm.max_over_ranks(mine))
        return found.assignment

    def loss(self, q: Tensor, units: Tensor) -> Tensor:
        """ProtoNCE of unit vectors q (B, P) of the recordings `units`; recordings without a cluster give 0."""
        return proto_nce(q, self.centroids, self.phi, self.assignment[units]).mean()


class QueuePrototypes(nn.Module):
    """Prototypes of a queue, as many as it seems to hold speakers, at most `size` (Peng et al. 2022)."""

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("centroids", torch.zeros(size, dim))
        self.register_buffer("phi", torch.ones(size))
        self.register_buffer("used", torch.zeros((), dtype=torch.int64))
        self.counted: bool | None = None   # whether the last count was credible; None: there was none in this process

    @torch.no_grad()
    def refresh(self, queue: KeyQueue, config: QueueProtoConfig, temperature: float, seed: int) -> None:
        """Cluster the queue's keys (the random ones of its start do not count). Every rank holds the same queue and takes a share."""
        keys = queue.keys[queue.unit >= 0]
        order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(seed)).to(keys.device)
        k = self._count(keys[order[:config.sample]], len(keys), config, seed)
        share = _share(len(keys), keys.device)
        found = kmeans(keys[share], k, index=share, iterations=config.iterations, spherical=True, seed=seed)
        self.centroids.zero_()
        self.centroids[:k] = found.centroids
        self.phi[:k] = density(found.distance_sum, found.count, temperature)
        self.used.fill_(k)

    def _count(self, sample: Tensor, keys: int, config: QueueProtoConfig, seed: int) -> int:
        """The number of speakers; `keys_per_cluster` decides where the sample does not show it, and the training's log says so."""
        share = _share(len(sample), sample.device)
        found = count_clusters(sample[share], share, minimum=config.min_clusters, maximum=config.max_clusters,
                               iterations=config.iterations, seed=seed)
        k = min(keys, config.max_clusters, max(config.min_clusters, keys // config.keys_per_cluster))
        if comm.rank() == 0 and found.credible != self.counted:
            text = (f"queue_proto: the queue shows {found.clusters} speakers (gain {found.gain:.3f})" if found.credible else
                    f"warning: queue_proto: the {len(sample)} keys looked at show no number of speakers (gain {found.gain:.3f}); "
                    f"{k} prototypes are taken, one for {config.keys_per_cluster} keys (method.queue_proto.keys_per_cluster)")
            print(f"{text}.", flush=True)
        self.counted = found.credible
        return found.clusters if found.credible else k

    def loss(self, q: Tensor, keys: Tensor) -> Tensor:
        """ProtoNCE of unit vectors q (B, P), whose own prototype is the one nearest to their keys; 0 before the first refresh."""
        k = len(self.phi)
        absent = torch.arange(k, device=q.device) >= self.used
        own = dots(keys, self.centroids).masked_fill(absent, -torch.inf).argmax(1)
        own = own.where(self.used > 0, -1)
        return proto_nce(q, self.centroids, self.phi, own, absent).mean()


def _share(total: int, device: torch.device) -> Tensor:
    """The rows of `total` that this rank takes."""
    return torch.arange(comm.rank(), total, comm.world_size(), device=device)
