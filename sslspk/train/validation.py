"""Judges a training on other data after each epoch (train.valid)."""
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sslspk.data import too_short
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.data.loader import make_loader, processes
from sslspk.errors import InputError
from sslspk.io import clips
from sslspk.methods.base import Batch, Progress
from sslspk.nn import comm, quantise
from sslspk.train.config import SystemConfig
from sslspk.train.frontend import FrontEnd
from sslspk.train.model import Model

COLLAPSED = 1e6   # nats: an epoch whose quantiser has collapsed is worse than any other


class Judgement(NamedTuple):
    """score: more is better. figures: what the log shows. text: for people."""

    score: float
    figures: dict[str, Tensor]
    text: str


class ClassRecall:
    """Judges a classifier by the mean recall of the classes on whole utterances. Each rank judges its share; all get the same judgement."""

    def __init__(self, config: SystemConfig, classes: list[str], front_end: FrontEnd):
        """classes: those of the training set. Raises InputError for one on train.valid that is not among them."""
        self.config, self.front_end, self.classes = config, front_end, classes
        self.index = UtteranceIndex(Path(config.train.valid), config.data.input, labels=True, table_name=config.data.labels)
        self.audio = clips.read(config.train.valid) if config.data.input == "wave" else None
        unknown = sorted(set(self.index.classes) - set(classes))
        if unknown:
            raise InputError(f"{self.index.labels} has the class {unknown[0]}, which the training set lacks ({', '.join(classes[:8])}); "
                             "leave its utterances out, or change the split.")

    @torch.no_grad()
    def judge(self, method: nn.Module) -> Judgement:
        """By the mean recall over the classes that occur, with every part in eval mode; shows the mean cross-entropy too."""
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
        recall, loss = (right[total > 0] / total[total > 0]).mean(), entropy.sum() / total.sum()
        return Judgement(float(recall), {"valid_recall": recall, "valid_loss": loss},
                         f"mean recall {float(recall):.4f}, loss {float(loss):.4f}")


class PretextLoss:
    """Judges a method that learns from frames by its own loss, without augmentation, always on the same crops in the same batches."""

    def __init__(self, config: SystemConfig, front_end: FrontEnd):
        """Batches are equal, and no larger than in training. Raises InputError where its recordings do not fill one."""
        self.config, self.front_end = config, front_end
        rate = config.features.sample_frequency
        index = UtteranceIndex(Path(config.train.valid), config.data.input)
        index.require_rate(rate)
        count = len(too_short.usable(index, config.data, [round(crop.seconds * rate) for crop in config.method.crops], rate))
        largest = config.data.batch_size // config.train.accumulate
        least = max(min(largest, 2), comm.world_size())   # losses compare recordings, and every rank has one
        size = max(count // max(-(-count // largest), 1), least)   # so that hardly a recording is left over
        size -= size % comm.world_size()
        if size > count:
            raise InputError(f"{config.train.valid}: too few of its recordings are long enough to judge the training by ({count}, and "
                             f"{size} are needed); add some.")
        once = config.data.model_copy(update={"draws_per_epoch": 1, "balance": "none", "grow": None, "same": None, "batch_size": size,
                                              "archives_at_once": None,
                                              "batches": "length" if config.data.batches == "length" else "mixed"})
        self.dataset = BatchDataset(index, once, config.method.crops, seed=config.seed, rate=rate, rank=comm.rank(),
                                    world=comm.world_size())

    @torch.no_grad()
    def judge(self, method: nn.Module) -> Judgement:
        """By the mean loss over the batches, with every part in eval mode; a collapsed quantiser comes last, however low its loss."""
        data, train, device = self.dataset, self.config.train, next(method.parameters()).device
        count, figures = data.steps_per_epoch, []
        batches = make_loader(data, 0, count, processes(self.config.data.workers, device), device.type == "cuda", train.timeout_seconds)
        method.eval()
        torch.manual_seed(self.config.seed)
        with batches.explained():
            for step, batch in enumerate(batches):
                _require_whole(batch, train.valid)
                views = [self.front_end({key: value.to(device) for key, value in crop.items()}) for crop in batch["crops"]]
                units = batch["unit"].to(device, torch.int64)
                with torch.autocast(device.type, torch.bfloat16, enabled=train.precision == "bf16"):
                    figures.append(method(Batch(views, torch.full_like(units, -1), units), Progress(step, count, count)))
        method.train()
        means = {key: comm.mean_over_ranks(torch.stack([one[key].float() for one in figures]).mean()) for key in figures[0]}
        loss = float(means["loss"])
        text, score = f"loss {loss:.4f}", -loss
        if quantise.collapsed(means, method.code_groups):   # where all are alike, none is a wrong candidate
            text, score = f"{text}, of a quantiser with one code word", score - COLLAPSED
        return Judgement(score, {f"valid_{key}": value for key, value in means.items()}, text)


def build(config: SystemConfig, classes: list[str], front_end: FrontEnd) -> ClassRecall | PretextLoss | None:
    """What judges a training by train.valid; None where that is not given. classes: those of the training set."""
    if config.train.valid is None:
        return None
    return ClassRecall(config, classes, front_end) if config.method.name == "supervised" else PretextLoss(config, front_end)


def _require_whole(batch: dict, data: str) -> None:
    if "error" in batch:
        raise InputError(batch["error"])
    if batch["failed"]:
        raise InputError(f"{data}: a recording to judge the training by cannot be read ({batch['failed'][0]}); repair it, or leave it out.")
