"""Judging a classifier while it is trained: the mean recall of the classes on whole utterances that it does not learn from."""
from pathlib import Path

import torch
from torch import Tensor, nn

from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError
from sslspk.io import clips
from sslspk.nn import comm
from sslspk.train.config import SystemConfig
from sslspk.train.frontend import FrontEnd
from sslspk.train.model import Model


class Validation:
    """recall(method) -> {"valid_recall", "valid_loss"}, the same on every rank; each rank judges its share of the utterances."""

    def __init__(self, config: SystemConfig, classes: list[str], front_end: FrontEnd):
        """classes: those of the training set. Raises InputError for one on train.valid that is not among them."""
        self.config, self.front_end, self.classes = config, front_end, classes
        self.index = UtteranceIndex(Path(config.train.valid), config.data.road, labels=True, table_name=config.data.labels)
        self.audio = clips.read(config.train.valid) if config.data.road == "wave" else None
        unknown = sorted(set(self.index.classes) - set(classes))
        if unknown:
            raise InputError(f"{self.index.labels} has the class {unknown[0]}, which the training set lacks ({', '.join(classes[:8])}); "
                             "leave its utterances out, or divide the data otherwise.")

    @torch.no_grad()
    def recall(self, method: nn.Module) -> dict[str, Tensor]:
        """Mean recall over the classes that occur, and mean cross-entropy, with every part in eval mode."""
        model = Model(self.config, self.front_end, method.encoder, {}, method.classifier, self.classes)
        code = {name: i for i, name in enumerate(self.classes)}
        device = next(method.parameters()).device
        counts = torch.zeros(3, len(self.classes), dtype=torch.float64, device=device)   # right, all, cross-entropy
        method.eval()
        for i in range(comm.rank(), len(self.index.keys), comm.world_size()):
            x = model.features(self.index.keys[i], self.index.spec(i) if self.audio is None else self.audio[self.index.keys[i]])
            told = method.classifier.log_posteriors(method.encoder(x))[0].double()
            true = code[self.index.classes[int(self.index.label[i])]]
            counts[:, true] += torch.stack([(told.argmax() == true).double(), torch.ones((), device=device).double(), -told[true]])
        method.train()
        right, total, entropy = comm.sum_over_ranks(counts)
        return {"valid_recall": (right[total > 0] / total[total > 0]).mean(), "valid_loss": entropy.sum() / total.sum()}
