"""Positives from other recordings: SSPS (Lepage & Dehak 2025), and an oracle that reads speaker labels.

The positive of an ordinary method is a view of the same recording, and shares its channel with the anchor. Here it is replaced by
the embedding of another recording, of the same speaker as far as clusters tell. The embeddings come from a queue of earlier steps, so
that no recording is read twice.
"""
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.losses.precision import dots, wide
from sslspk.methods.base import Batch, Corpus, Plain, Progress
from sslspk.methods.config_positives import OracleConfig, SspsConfig
from sslspk.metrics.clustering import nmi
from sslspk.nn import comm, monitors, substitutes
from sslspk.nn.kmeans import kmeans
from sslspk.nn.queue import KeyQueue
from sslspk.nn.seeding import rows_per_block

FASTEST = 1000  # percent, above any speed
PURPOSE = 11  # of the random numbers of a forward pass, among those of other parts


class Chosen(NamedTuple):
    """The positives of a batch: those given, substituted where an entry was found; of each, whose recording it is."""

    embeddings: Tensor  # (V, B, P)
    units: Tensor  # (B,)
    figures: dict[str, Tensor]


class Positives(nn.Module):
    """A queue of positives, all of it state; its kinds say which of its entries may take whose place."""

    labels = "none"

    def __init__(self, config: SspsConfig | OracleConfig, dim: int, views: int, corpus: Corpus):
        """dim P of a positive, of which a recording has `views` in each step."""
        super().__init__()
        self.config, self.recordings = config, corpus.recordings
        self.queue = KeyQueue(config.queue_size, views * dim)
        self.knows_sessions = corpus.sessions is not None
        sessions = torch.full((corpus.recordings,), -1) if corpus.sessions is None else torch.as_tensor(corpus.sessions)
        self.register_buffer("watched_sessions", sessions.long(), persistent=False)
        self._pushed: list[tuple[Tensor, ...]] = []

    def groups(self, batch: Batch, pick: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) the group that each recording's substitute is drawn from and (Q,) those of the queue, -1: none. pick (B,) in [0, 1)."""
        raise NotImplementedError

    def kept(self, batch: Batch) -> Tensor:
        """(B,) what `groups` has to know of a positive in the queue, where it lies as queue.known: its speed, where speeds are changed."""
        return batch.labels if batch.speeds is None else batch.speeds

    def trusted(self, units: Tensor, others: Tensor, found: Tensor) -> Tensor:
        """(B,) bool: which of the substitutes `others` (B,) that were found for the recordings `units` (B,) are used."""
        return found

    def near(self, units: Tensor, others: Tensor) -> Tensor | None:
        """(n,), (N,) recordings -> (n, N) bool: which of the others are no negatives of the first; None: nothing is known of that."""
        return None

    def observe(self, encoder: nn.Module, batch: Batch, progress: Progress) -> None:
        """Look at the reference view (the batch's last one), where there is one."""

    def before_epoch(self, encoder: nn.Module, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        return {}

    def forward(self, own: Tensor, batch: Batch, progress: Progress) -> Chosen:
        """own (V, B, P): this rank's ordinary positives. They enter the queue after the step, as they are."""
        if progress.epochs < self.config.start_epoch:
            chosen = Chosen(own, batch.units, {})
        else:
            chosen = self._substituted(own, batch, progress)
        watched = torch.full_like(batch.units, -1) if batch.watched is None else batch.watched
        ids = comm.gather(torch.stack([batch.units, self.kept(batch), watched], 1))
        self._pushed.append((comm.gather(own.detach().transpose(0, 1).flatten(1)), *ids.unbind(1)))
        return chosen

    def _substituted(self, own: Tensor, batch: Batch, progress: Progress) -> Chosen:
        size, device = len(batch.units), own.device
        generator = torch.Generator(device)
        generator.manual_seed(hash((progress.draw, PURPOSE)) % 2 ** 63)
        draws = torch.rand(comm.world_size() * size, 2, dtype=torch.float64, generator=generator, device=device)
        pick, uniform = draws[comm.rows_of_this_rank(size)].unbind(1)
        wanted, group_of = self.groups(batch, pick)
        entry, found = substitutes.draw(wanted, batch.units, group_of, self.queue.unit, uniform, self.recordings)
        found = self.trusted(batch.units, self.queue.unit[entry], found)
        theirs = self.queue.keys[entry].unflatten(1, (len(own), -1)).transpose(0, 1)
        units = torch.where(found, self.queue.unit[entry], batch.units)
        figures = {"positives_coverage": found.float().mean()}
        if progress.log and batch.watched is not None:
            same = self.queue.watched[entry] == batch.watched
            figures["positives_speaker_accuracy"] = _share(same, found & (batch.watched >= 0))
            if self.knows_sessions:
                session = self.watched_sessions[batch.units]
                figures["positives_session_accuracy"] = _share(self.watched_sessions[units] == session, found & (session >= 0))
        return Chosen(torch.where(found[None, :, None], theirs.to(own.dtype), own), units, figures)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        for rows, unit, known, watched in self._pushed:
            self.queue.push(rows, unit, known, watched, progress.step)
        self._pushed.clear()


class OraclePositives(Positives):
    """Another recording of the same speaker, by the labels."""

    labels = "speaker"

    def groups(self, batch: Batch, pick: Tensor) -> tuple[Tensor, Tensor]:
        return self.kept(batch), self.queue.known

    def kept(self, batch: Batch) -> Tensor:
        return at_speed(batch.labels, batch.speeds)


class SspsPositives(Positives):
    """A recording of a neighbouring cluster.

    memory      (recordings, D) the L2-normalised embedding of each recording's last reference view; seen: whether there is one
    cluster     (recordings,) as of the start of the epoch, -1: none
    neighbours  (K, max(M, 1)) the clusters that take a cluster's place, -1: none
    Lepage's code embeds references by a teacher in training mode. Here it is in evaluation mode, so that a reference does not depend on the
    batch.
    """

    def __init__(self, config: SspsConfig, dim: int, views: int, corpus: Corpus, embed_dim: int):
        super().__init__(config, dim, views, corpus)
        if config.clusters > corpus.recordings:
            raise InputError(f"positives.clusters asks for {config.clusters} clusters of {corpus.recordings} utterances; lower it, or add "
                             "data.")
        self.register_buffer("memory", torch.zeros(corpus.recordings, embed_dim))
        self.register_buffer("seen", torch.zeros(corpus.recordings, dtype=torch.bool))
        for name in ("cluster", "watched"):
            self.register_buffer(name, torch.full((corpus.recordings,), -1, dtype=torch.int64))
        self.register_buffer("neighbours", torch.full((config.clusters, max(config.neighbours, 1)), -1, dtype=torch.int64))
        self._observed: list[tuple[Tensor, ...]] = []

    def groups(self, batch: Batch, pick: Tensor) -> tuple[Tensor, Tensor]:
        home, count = self.cluster[batch.units], self.neighbours.shape[1]
        which = (pick * count).long().clamp_max(count - 1)
        wanted = self.neighbours[home.clamp_min(0), which].where(home >= 0, -1)
        theirs = self._cluster_of(self.queue.unit)
        if batch.speeds is None:
            return wanted, theirs
        return at_speed(wanted, batch.speeds), at_speed(theirs, self.queue.known)

    def kept(self, batch: Batch) -> Tensor:
        """(B,) what `groups` has to know of a positive in the queue, where it lies as queue.known: its speed, where speeds are changed."""
        return batch.labels if batch.speeds is None else batch.speeds

    def trusted(self, units: Tensor, others: Tensor, found: Tensor) -> Tensor:
        """The share config.keep of those found in the batch of all ranks whose references have the largest cosine to the anchor's."""
        if self.config.keep == 1:
            return found
        cosine = (self.memory[units] * self.memory[others.clamp_min(0)]).sum(1).where(found, -torch.inf)
        everyone = comm.gather(cosine).sort(descending=True).values
        count = (self.config.keep * (everyone > -torch.inf).sum()).round().long()
        least = everyone.gather(0, (count - 1).clamp_min(0)[None])   # an index of no dimension would be waited for
        return found & (cosine >= least) & (count > 0)

    def near(self, units: Tensor, others: Tensor) -> Tensor | None:
        if not self.config.mask_negatives:
            return None
        home, theirs = self._cluster_of(units), self._cluster_of(others)
        around = torch.cat([home[:, None], self.neighbours[home.clamp_min(0)].where(home[:, None] >= 0, -1)], 1)
        return ((around[:, :, None] == theirs) & (theirs >= 0)).any(1)

    def _cluster_of(self, units: Tensor) -> Tensor:
        return self.cluster[units.clamp_min(0)].where(units >= 0, -1)

    @torch.no_grad()
    def observe(self, encoder: nn.Module, batch: Batch, progress: Progress) -> None:
        if progress.epochs < self.config.start_epoch - 1:
            return
        training = encoder.training
        encoder.eval()
        reference = F.normalize(wide(encoder(batch.views[-1][0])))
        encoder.train(training)
        watched = torch.full_like(batch.units, -1) if batch.watched is None else batch.watched
        self._observed.append((comm.gather(reference), *comm.gather(torch.stack([batch.units, watched], 1)).unbind(1)))

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        for reference, unit, watched in self._observed:
            self._remember(reference, unit, watched)
        self._observed.clear()

    def _remember(self, reference: Tensor, unit: Tensor, watched: Tensor) -> None:
        self.memory[unit], self.seen[unit], self.watched[unit] = reference, True, watched

    @torch.no_grad()
    def before_epoch(self, encoder: nn.Module, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        """Cluster the references, and find each cluster's neighbours. Where none has been gathered, all recordings are embedded first."""
        if progress.epochs < self.config.start_epoch:
            return {}
        if not bool(self.seen.any()):
            plain = embed_all(encoder)
            watched = torch.full_like(plain.units, -1) if plain.watched is None else plain.watched
            self._remember(*map(comm.gather_rows, (F.normalize(wide(plain.embeddings)), plain.units, watched)))
        held = self.seen.nonzero()[:, 0]
        mine = held[comm.rank()::comm.world_size()]
        found = kmeans(self.memory[mine], min(self.config.clusters, len(held)), index=mine, iterations=self.config.iterations,
                       init="random", spherical=True, seed=progress.draw)
        cluster = torch.full_like(self.cluster, -1)
        cluster[mine] = found.assignment
        self.cluster.copy_(comm.max_over_ranks(cluster))
        self.neighbours.fill_(-1)
        self.neighbours[:len(found.count)] = comm.from_first_rank(nearest_others(found.centroids, found.count, self.config.neighbours))
        return self._agreement()

    def _agreement(self) -> dict[str, Tensor]:
        """How well the clusters agree with speakers and sessions, where these are known to the monitors."""
        figures = {}
        for name, labels in (("speaker", self.watched), ("session", self.watched_sessions)):
            known = (labels >= 0) & (self.cluster >= 0)
            if bool(known.any()):
                value = nmi(self.cluster[known].tolist(), labels[known].tolist())
                figures[f"positives_nmi_{name}"] = torch.tensor(value, device=labels.device)
        if "positives_nmi_speaker" in figures:
            figures["positives_purity"] = monitors.purity(self.cluster, self.watched)
        return figures


def at_speed(groups: Tensor, speeds: Tensor | None) -> Tensor:
    """(N,) groups, -1: none -> (N,) groups of one speed each, speeds (N,) in percent; None: as they are."""
    return groups if speeds is None else (groups * FASTEST + speeds).where(groups >= 0, -1)


def nearest_others(centroids: Tensor, count: Tensor, neighbours: int) -> Tensor:
    """(K, D) unit centroids -> (K, M) int64: for each the M clusters of the largest cosine to it, nearest first, -1 where there are
    fewer. Clusters without a member (count (K,) 0) are nobody's neighbours. M = 0: (K, 1), each cluster itself.
    """
    own = torch.arange(len(centroids), device=centroids.device)
    if neighbours == 0:
        return own[:, None]
    found = torch.full((len(own), neighbours), -1, device=own.device)
    for rows in own.split(rows_per_block(len(own), len(own), own.device.type)):
        cosine = dots(centroids[rows], centroids).masked_fill(count == 0, -torch.inf)
        cosine[torch.arange(len(rows), device=own.device), rows] = -torch.inf
        best = cosine.topk(min(neighbours, len(own)), dim=1)
        found[rows, :best.indices.shape[1]] = best.indices.where(best.values > -torch.inf, -1)
    return found


def _share(hit: Tensor, among: Tensor) -> Tensor:
    """The share of those in `among` (B,) that are in `hit` (B,), over the batch of all ranks; 0 of none."""
    hits, all_of_them = comm.sum_over_ranks(torch.stack([(hit & among).sum(), among.sum()]))
    return hits / all_of_them.clamp_min(1)


def build(config: SspsConfig | OracleConfig | None, dim: int, views: int, corpus: Corpus, embed_dim: int) -> Positives | None:
    """What `method.positives` asks for: dim P of each of the `views` positives of a recording, embed_dim D of its reference."""
    if config is None:
        return None
    if config.name == "oracle":
        return OraclePositives(config, dim, views, corpus)
    return SspsPositives(config, dim, views, corpus, embed_dim)
