"""Speaker classification with labels: what self-supervision is measured against. AAM-softmax on cropped utterances."""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.losses.aam import aam_loss
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config import SupervisedConfig
from sslspk.nn.schedules import linear_ramp


class Supervised(Method):
    labels = "speaker"

    def __init__(self, config: SupervisedConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        if corpus.speakers < 2:
            raise InputError(f"supervised training needs at least 2 speakers in utt2spk and found {corpus.speakers}.")
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.weight = nn.Parameter(torch.empty(corpus.speakers, self.encoder.embed_dim))
        nn.init.xavier_normal_(self.weight)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg = self.config
        margin = linear_ramp(progress.epochs, 0.0, cfg.margin, cfg.margin_warmup_epochs)
        embeddings = torch.cat([self.encoder(x.flatten(0, 1)) for x in batch.views])
        every = batch.labels.repeat(embeddings.shape[0] // len(batch.labels))
        loss, accuracy = aam_loss(embeddings, self.weight, every, cfg.scale, margin)
        return {"loss": loss, "accuracy": accuracy}
