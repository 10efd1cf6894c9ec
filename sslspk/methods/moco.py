"""MoCo (He et al. 2020) for utterances, and its class-collision corrected form C3-MoCo (Zhang & Yu 2022, Eq. 1-7).

A query encoder is trained so that its embedding of a view is closer to the key of another view of the same recording than to a queue of
earlier keys. The key encoder is a moving average of the query encoder. Keys of the same speaker in the queue are false negatives.
Re-weighting lowers the weight of suspected ones. ProtoNCE pulls recordings towards the centres of their clusters in the training set (or in
the queue itself, Peng et al. 2022).
"""
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import projected
from sslspk.errors import InputError
from sslspk.losses.contrastive import affinity_contrastive, false_negatives, info_nce, reweighted
from sslspk.losses.precision import dots, wide
from sslspk.methods import positives
from sslspk.methods.base import Batch, Corpus, LabelledSpeakers, Method, Plain, Progress
from sslspk.methods.config_moco import MocoConfig, QueueProtoConfig, ReweightConfig
from sslspk.methods.config_positives import drawn_crops
from sslspk.methods.prototypes import PrototypeBank, QueuePrototypes
from sslspk.nn import comm, group_batch_norm, monitors
from sslspk.nn.queue import KeyQueue


class Moco(Method):
    """Query and key encoder, queue, prototypes. BatchNorm acts on groups of recordings, and keys are shuffled among the groups."""

    def __init__(self, config: MocoConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, drawn_crops(config), config.evaluate
        self.query = group_batch_norm.convert(projected(new_encoder(), config.projection), config.batch_norm_group)
        self.key = group_batch_norm.convert(projected(new_encoder(), config.projection), config.batch_norm_group)
        self.key.load_state_dict(self.query.state_dict())
        self.key.requires_grad_(False)
        dim = self.query.embed_dim
        self.queue = KeyQueue(config.queue_size, dim)
        self.known = LabelledSpeakers(config.labelled_share, corpus, "MoCo + SupCon")
        self.labels = self.known.describe()
        clusters = config.proto.clusters if config.proto else ()
        if max(clusters, default=0) > corpus.recordings:
            raise InputError(f"proto.clusters asks for {max(clusters)} clusters of {corpus.recordings} utterances; lower it, or add data.")
        self.banks = nn.ModuleList(PrototypeBank(k, dim, corpus.recordings) for k in clusters)
        self.queue_bank = QueuePrototypes(config.queue_proto.max_clusters, dim) if config.queue_proto else None
        self.positives = positives.build(config.positives, dim, 2 if config.symmetric else 1, corpus, self.key.encoder.embed_dim)
        if self.positives is not None and self.positives.labels != "none":
            self.labels = self.positives.labels
        self._pending: list[tuple[Tensor, ...]] = []

    def encoders(self) -> dict[str, nn.Module]:
        found = {"query": self.query.encoder, "key": self.key.encoder}
        return found if self.config.projection is None else {**found, "projected": self.query}

    def backbones(self) -> list[nn.Module]:
        return [self.query.encoder, self.key.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        views = batch.views[0]
        asked = views if self.config.symmetric else views[:1]
        return self.loss(self.query(asked.flatten(0, 1)), batch, progress)

    def loss(self, queries: Tensor, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """The losses of projected queries: of view 0 (B, P), or of views 0 and 1 (2B, P) when symmetric."""
        views = batch.views[0]
        order = (1, 0) if self.config.symmetric else (1,)
        if self.positives is not None:   # before the keys move this rank's BatchNorm statistics
            self.positives.observe(self.key.encoder, batch, progress)
        keys = torch.cat([self._keys(views[v], batch, progress) for v in order])
        q = F.normalize(wide(queries))
        units, known = batch.units.repeat(len(order)), self.known(batch.labels).repeat(len(order))
        attract, friends, figures = self._positives(keys, batch, progress)
        # a queue longer than an epoch holds older keys of the recording itself: they are no negatives
        positive, negative = (q * attract).sum(1), dots(q, self.queue.keys).masked_fill(friends.repeat(len(order), 1), -torch.inf)
        out = {**self._contrast(positive, negative, known, progress), **figures}
        out["loss"] = out["loss"] + self._prototypes(q, keys, units, progress, out)
        if progress.log:
            out.update(self._figures(q.detach(), keys, positive.detach(), negative.detach(), progress))
            if batch.watched is not None:
                out.update(self._flag_quality(positive.detach(), negative.detach(), batch.watched.repeat(len(order))))
        return out

    def _positives(self, keys: Tensor, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The keys (n, P) that attract the queries, which entries of the queue (B, K) are no negatives, and figures to log."""
        friends = batch.units[:, None] == self.queue.unit
        if self.positives is None:
            return keys, friends, {}
        chosen = self.positives(keys.unflatten(0, (-1, len(batch.units))), batch, progress)
        friends = friends | (chosen.units[:, None] == self.queue.unit)
        near = self.positives.near(batch.units, self.queue.unit)
        return chosen.embeddings.flatten(0, 1), friends if near is None else friends | near, chosen.figures

    @torch.no_grad()
    def _keys(self, view: Tensor, batch: Batch, progress: Progress) -> Tensor:
        """Keys (B, P) of this rank's recordings, computed in other BatchNorm groups than their queries; those of all ranks enter the queue
        later."""
        everyone = comm.gather(view)
        order = torch.randperm(len(everyone), generator=torch.Generator().manual_seed(progress.draw))
        if view.is_cuda:  # a copy from memory that is not pinned would wait for the device
            order = order.pin_memory().to(view.device, non_blocking=True)
        mine = comm.rows_of_this_rank(len(view))
        shuffled = comm.gather(F.normalize(wide(self.key(everyone[order[mine]]))))
        keys = torch.empty_like(shuffled)
        keys[order] = shuffled
        watched = torch.full_like(batch.units, -1) if batch.watched is None else batch.watched
        ids = comm.gather(torch.stack([batch.units, self.known(batch.labels), watched], 1))
        self._pending.append((keys, *ids.unbind(1)))
        return keys[mine]

    def _contrast(self, positive: Tensor, negative: Tensor, known: Tensor, progress: Progress) -> dict[str, Tensor]:
        """InfoNCE, re-weighted from its epoch on; recordings with a known speaker take SupCon over key and queue instead."""
        cfg = self.config
        per_anchor = info_nce(positive, negative, cfg.temperature)
        out = {"info_nce": per_anchor.detach().mean()}
        if cfg.labelled_share:
            labelled = known >= 0
            logits = torch.cat([positive[:, None], negative], 1) / cfg.temperature
            friends = (known[:, None] == self.queue.known) & labelled[:, None]
            affinity = torch.cat([torch.ones_like(labelled)[:, None], friends], 1)
            supcon = affinity_contrastive(logits, affinity, logits > -torch.inf)
            per_anchor = torch.where(labelled, cfg.supcon_weight * supcon, per_anchor)
        if cfg.reweight and progress.epochs >= cfg.reweight.start_epoch:
            flagged = self._flags(positive, negative).any(1) & (known < 0)  # recordings with known labels need no suspicion
            out["loss"] = reweighted(per_anchor, flagged, cfg.reweight.true_weight, cfg.reweight.false_weight)
        else:
            out["loss"] = per_anchor.mean()
        return out

    def _prototypes(self, q: Tensor, keys: Tensor, units: Tensor, progress: Progress, out: dict[str, Tensor]) -> Tensor:
        """The weighted ProtoNCE terms that have started; 0 before."""
        cfg, total = self.config, q.new_zeros(())
        if cfg.proto and progress.epochs >= cfg.proto.start_epoch:
            out["loss_proto_nce"] = torch.stack([bank.loss(q, units) for bank in self.banks]).mean()
            total = total + cfg.proto.weight * out["loss_proto_nce"]
        if cfg.queue_proto and progress.epochs >= cfg.queue_proto.start_epoch:
            out["loss_queue_proto_nce"] = self.queue_bank.loss(q, keys)
            out["queue_speakers"] = self.queue_bank.used.float()
            total = total + cfg.queue_proto.weight * out["loss_queue_proto_nce"]
        return total

    def _figures(self, q: Tensor, keys: Tensor, positive: Tensor, negative: Tensor, progress: Progress) -> dict[str, Tensor]:
        return {"false_negative_share": self._flags(positive, negative).any(1).float().mean(), "queue_age": self.queue.age(progress.step),
                "accuracy": (positive > negative.amax(1)).float().mean(), "alignment": monitors.alignment(q, keys),
                "uniformity": monitors.uniformity(q), "effective_rank": monitors.effective_rank(q)}

    def _flag_quality(self, positive: Tensor, negative: Tensor, watched: Tensor) -> dict[str, Tensor]:
        """How well the test for false negatives finds the queue's recordings of the same speaker."""
        same = (watched[:, None] == self.queue.watched) & (watched >= 0)[:, None]
        found = monitors.flag_quality(self._flags(positive, negative), same)
        return {f"false_negative_{key}": value for key, value in found.items()}

    def _flags(self, positive: Tensor, negative: Tensor) -> Tensor:
        rule = self.config.reweight or ReweightConfig()
        return false_negatives(positive, negative, rule.ratio, rule.floor)

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        figures = {} if self.positives is None else self.positives.before_epoch(self.key.encoder, embed_all, progress)
        return {**figures, **self._cluster(embed_all, progress)}

    def _cluster(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        """Cluster the key encoder's view of the whole training set (Li et al. 2021: momentum features without augmentation)."""
        cfg = self.config.proto
        if cfg is None or progress.epochs < cfg.start_epoch or (round(progress.epochs) - math.ceil(cfg.start_epoch)) % cfg.every_epochs:
            return {}
        plain = embed_all(self.key)
        points, figures = F.normalize(wide(plain.embeddings)), {}
        for i, bank in enumerate(self.banks):
            assignment = bank.fit(points, plain.units, iterations=cfg.iterations, init=cfg.init, epsilon=cfg.epsilon,
                                  temperature=self.config.temperature, seed=progress.draw + i)
            if plain.watched is not None:
                figures[f"purity_{bank.size}"] = monitors.purity(comm.gather_rows(assignment), comm.gather_rows(plain.watched))
        return figures

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Key encoder: moving average of the parameters. Queue: the step's keys in the order of the batch."""
        torch._foreach_lerp_(list(self.key.parameters()), list(self.query.parameters()), 1 - self.config.momentum)
        group_batch_norm.average(self)
        for pending in self._pending:
            self.queue.push(*pending, progress.step)
        self._pending.clear()
        if self.positives is not None:
            self.positives.after_step(progress)
        cfg = self.config.queue_proto
        if cfg and _refreshes(cfg, progress):
            self.queue_bank.refresh(self.queue, cfg, self.config.temperature, seed=progress.draw)


def _refreshes(cfg: QueueProtoConfig, progress: Progress) -> bool:
    """Whether the queue is clustered after this step: before the first step that uses the prototypes, then every refresh_steps."""
    first, following = math.ceil(cfg.start_epoch * progress.per_epoch), progress.step + 1
    return following == first or (following > first and progress.step % cfg.refresh_steps == 0)
