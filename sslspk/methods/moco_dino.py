"""Multi-task C3-DINO (Zhang & Yu 2022, Table 2, system 5): DINO's student encoder is MoCo's query encoder, under both losses."""
from collections.abc import Callable

from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.methods.base import Batch, Corpus, Method, Plain, Progress
from sslspk.methods.config import MocoDinoConfig
from sslspk.methods.dino import Dino
from sslspk.methods.moco import Moco
from sslspk.nn import group_batch_norm


class MocoDino(Method):
    """The sum of two methods with one trained encoder. The teacher and the key encoder are moving averages of it with different momentum.

    BatchNorm of all three acts on MoCo's groups of recordings.
    """

    def __init__(self, config: MocoDinoConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.moco = Moco(config.moco, new_encoder, corpus)
        shared = self.moco.query.encoder
        self.dino = Dino(config.dino, new_encoder, corpus)
        self.dino.student["encoder"] = shared
        teacher = group_batch_norm.convert(self.dino.teacher["encoder"], config.moco.batch_norm_group)  # as the student's
        teacher.load_state_dict(shared.state_dict())
        self.labels = self.moco.labels

    def encoders(self) -> dict[str, nn.Module]:
        found = self.moco.encoders()
        return {**self.dino.encoders(), **({"projected": found["projected"]} if "projected" in found else {})}

    def backbones(self) -> list[nn.Module]:
        return [*self.moco.backbones(), self.dino.teacher["encoder"]]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        embeddings = self.dino.embed(self.dino.student, batch.views)
        asked = embeddings[0] if self.config.moco.symmetric else embeddings[0][:batch.views[0].shape[1]]
        moco = self.moco.loss(self.moco.query.projector(asked), batch, progress)
        dino = self.dino.loss(embeddings, batch, progress)
        loss = self.config.moco_weight * moco.pop("loss") + self.config.dino_weight * dino.pop("loss")
        return {"loss": loss, **dino, **{f"moco_{key}": value for key, value in moco.items()}}

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        return self.moco.before_epoch(embed_all, progress)

    def after_backward(self, progress: Progress) -> None:
        self.dino.after_backward(progress)

    def after_step(self, progress: Progress) -> None:
        self.moco.after_step(progress)
        self.dino.after_step(progress)
        group_batch_norm.average(self.dino.teacher)
