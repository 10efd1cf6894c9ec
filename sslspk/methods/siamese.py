"""Simple Siamese network (Chen & He 2021) and its regularised form for speakers, Siamese + SSReg (Sang et al. 2021).

Neither negatives nor a momentum encoder: each view predicts the other's projection, which gets no gradient. SSReg pulls the
embeddings of a pair together before the projection. Of SSReg the abstract alone is known (it uses positive pairs only).
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import Projected, mlp
from sslspk.losses.precision import wide
from sslspk.losses.siamese import negative_cosine, positive_similarity
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config import SiameseConfig
from sslspk.nn import monitors


class Siamese(Method):
    def __init__(self, config: SiameseConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        dims = (config.hidden_dim, config.hidden_dim, config.out_dim)
        self.network = Projected(new_encoder(), dims, batch_norm=True)
        self.last_norm = nn.BatchNorm1d(config.out_dim, affine=False)  # without it the pair collapses at once
        self.predictor = mlp((config.out_dim, config.predictor_dim, config.out_dim), batch_norm=True)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.network.encoder, "projected": self.network}

    def backbones(self) -> list[nn.Module]:
        return [self.network.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        embeddings = self.network.encoder(batch.views[0].flatten(0, 1))
        z = self.last_norm(self.network.projector(embeddings))
        p = self.predictor(z)
        (z1, z2), (p1, p2), (e1, e2) = z.chunk(2), p.chunk(2), embeddings.chunk(2)
        siamese = (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2
        regulariser = positive_similarity(e1, e2)
        out = {"loss": siamese + self.config.regulariser * regulariser,
               "loss_siamese": siamese.detach(), "loss_ssreg": regulariser.detach()}
        if progress.log:
            with torch.no_grad():
                first, second = F.normalize(wide(e1)), F.normalize(wide(e2))
                out.update(alignment=monitors.alignment(first, second), uniformity=monitors.uniformity(first),
                           effective_rank=monitors.effective_rank(e1))
        return out
