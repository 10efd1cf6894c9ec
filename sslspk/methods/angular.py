"""Angular prototypical loss (AP) and augmentation adversarial training (AP+AAT): Huh et al. 2020, arXiv 2007.12085.

AP: among the second segments of all recordings, find the one of the same recording. AAT: a discriminator learns whether two segments had
the same augmentation. Through a reversed gradient, the encoder learns embeddings that do not show it.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.losses.adversarial import reverse_gradient
from sslspk.losses.precision import dots, wide
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config import AngularConfig
from sslspk.nn import comm, monitors


class Angular(Method):
    """Views: two disjoint segments; with the adversary three: segment 1 and segment 2 with one augmentation, segment 2 with another.

    The discriminator learns in the same step as the encoder (Ganin & Lempitsky 2015); the authors' code takes a step with it first.
    """

    def __init__(self, config: AngularConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.scale, self.bias = nn.Parameter(torch.tensor(config.scale)), nn.Parameter(torch.tensor(config.bias))
        if config.adversarial:
            pair, hidden = 2 * self.encoder.embed_dim, config.hidden_dim
            self.discriminator = nn.Sequential(nn.BatchNorm1d(pair), nn.ReLU(), nn.Linear(pair, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
                                               nn.Linear(hidden, 2))

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        views = batch.views[0]
        embeddings = wide(self.encoder(views.flatten(0, 1))).unflatten(0, (len(views), -1))
        anchor, other = F.normalize(embeddings[0], dim=-1), F.normalize(embeddings[-1], dim=-1)
        everyone = comm.gather_with_gradient(other)
        own = torch.arange(len(anchor), device=anchor.device) + comm.rows_of_this_rank(len(anchor)).start
        logits = self.scale.clamp_min(1e-6) * dots(anchor, everyone) + self.bias
        loss = F.cross_entropy(logits, own)
        out = {"loss": loss, "loss_angular": loss.detach(), "accuracy": (logits.argmax(1) == own).float().mean()}
        if self.config.adversarial:
            adversary = self._adversary(embeddings, out)
            out["loss"] = loss + adversary
        if progress.log:
            with torch.no_grad():
                out.update(alignment=monitors.alignment(anchor, other), uniformity=monitors.uniformity(anchor),
                           effective_rank=monitors.effective_rank(embeddings[0]))
        return out

    def _adversary(self, embeddings: Tensor, out: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the discriminator on pairs with the same and with different augmentation; alpha reaches the encoder only."""
        anchor, same, different = reverse_gradient(embeddings, self.config.adversarial)
        pairs = torch.cat([torch.cat([anchor, same], 1), torch.cat([anchor, different], 1)])
        truth = (torch.arange(len(pairs), device=pairs.device) < len(anchor)).long()
        logits = wide(self.discriminator(pairs))
        out["discriminator_accuracy"] = (logits.argmax(1) == truth).float().mean()
        loss = F.cross_entropy(logits, truth)
        out["loss_discriminator"] = loss.detach()
        return loss
